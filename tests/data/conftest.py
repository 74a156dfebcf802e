"""Small data sets on the disk."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

Maker = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Writes a data set: ``make({"a.png": "cat;dog"})``; None for a photograph without a line of tags."""

    def write(
        photographs: dict[str, str | None],
        classes: tuple[str, ...] = ("cat", "dog", "tree"),
        splits: dict[str, str] | None = None,
        tags: str | None = None,
    ) -> Path:
        root = tmp_path / "set"
        for name in photographs:
            path = root / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 8, 3), 90, np.uint8)).save(path)
        (root / "images").mkdir(parents=True, exist_ok=True)
        lines = [f"{name},{text}" for name, text in photographs.items() if text is not None]
        text = tags if tags is not None else "\n".join(["image,tags", *lines]) + "\n"
        (root / "tags.csv").write_text(text, encoding="utf-8")
        (root / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
        for split, content in (splits or {}).items():
            (root / "splits").mkdir(exist_ok=True)
            (root / "splits" / f"{split}.txt").write_text(content, encoding="utf-8")
        return root

    return write


@pytest.fixture
def shared() -> Path:
    """The folder of real data, beside the repository."""
    repository = Path(__file__).parents[2]
    path = Path(os.environ.get("DHR_SHARED", repository.parent / "shared"))
    if not (path / "data" / "msrc_v2").is_dir():
        pytest.skip(f"no real data in {path}; set DHR_SHARED")
    return path / "data"


@pytest.fixture
def lay(formats: ModuleType, tmp_path: Path) -> Callable[[str], Path]:
    """Writes a layout in miniature, by the name of its reader."""

    def write(kind: str) -> Path:
        if kind == "huggingface":
            pytest.importorskip("datasets")
        if kind == "yolo":
            pytest.importorskip("cv2")
        if kind == "datumaro":
            pytest.importorskip("datumaro")
        return formats.FORMATS[kind](tmp_path / "set")

    return write
