"""A run made by hand: photographs, the machine's masks, and ways to mend them elsewhere."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dhr
from dhr.api.import_masks import ImportResult
from dhr.corrections import Corrections
from dhr.data import FolderDataSet, write_mask
from dhr.export import ExportConfig, export
from dhr.files import digest_regular, write_json
from dhr.records.item import ItemRecord
from dhr.records.members import to_json

NAMES = ("background", "cat", "Dog", "猫 & <b>")
PLAIN = ("sky", "sea", "Dog")


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut is not tested."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def _blobs(seed: int, shape: tuple[int, int], labels: list[int]) -> np.ndarray:
    """Labels with holes, islands in them, single pixels and diagonals."""
    random = np.random.default_rng(seed)
    mask = np.full(shape, labels[0], np.uint8)
    rows, columns = np.indices(shape)
    for _ in range(6):
        y, x, r = random.integers(0, shape[0]), random.integers(0, shape[1]), random.integers(1, max(2, shape[0] // 2))
        distance = np.hypot(rows - y, columns - x)
        mask[(distance < r) & (distance > r * random.uniform(0, 0.7))] = random.choice(labels)
    noise = random.random(shape) < 0.05
    mask[noise] = random.choice(labels, int(noise.sum()))
    return mask


@dataclass
class Run:
    """The folder of a run, and its data folder."""

    root: Path
    names: tuple[str, ...] = NAMES
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    """The machine's."""

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def background(self) -> bool:
        return self.names[0] == "background"

    @property
    def corrections(self) -> Corrections:
        return Corrections.of(self.out)

    def write(self) -> "Run":
        lines = ["image,tags"]
        for name, labels in self.masks.items():
            path = self.data / "images" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((*labels.shape, 3), np.uint8)).save(path)
            shown = [one for one in self.names if one != "background" and (labels == self.names.index(one)).any()]
            lines.append(f"{name}.png,{';'.join(shown) or self.names[1]}")
            mask = self.out / "masks" / f"{name}.png"
            write_mask(mask, labels)
            height, width = labels.shape
            item = ItemRecord(digest_regular(path), width, height, tuple(shown), mask=digest_regular(mask))
            write_json(self.out / "items" / f"{name}.json", to_json(item))
        (self.data / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.data / "classes.txt").write_text("\n".join(self.names) + "\n", encoding="utf-8")
        record = {
            "identity": {},
            "classes": self.names,
            "background": self.background,
            "data": {"path": str(self.data)},
        }
        write_json(self.out / "run.json", record)
        return self

    def export(self, to: str, masks: dict[str, np.ndarray] | None = None, **config: Any) -> Path:
        """Write masks in a format; by default the machine's."""
        folder, place = self.out / "masks", self.root / f"{to}{len(list(self.root.iterdir()))}"
        if masks is not None:
            folder = self.root / f"drawn{place.name}"
            for name, labels in masks.items():
                write_mask(folder / f"{name}.png", labels)
            (folder / "classes.txt").write_text("\n".join(self.names) + "\n", encoding="utf-8")
        place = place.with_suffix(".json") if to in ("coco", "lightly") else place
        export(FolderDataSet(self.data), folder, to, place, ExportConfig(**config))
        return place

    def take(self, file: Path, source: str, **more: Any) -> ImportResult:
        return dhr.import_masks(self.out, file, source_format=source, **more)

    def states(self) -> dict[str, str]:
        found = {name: self.corrections.read(name) for name in self.corrections.names()}
        return {name: one.state for name, one in sorted(found.items()) if one is not None}


def _labelled(folder: Path, chosen: dict[str, Any], prefix: str = "") -> Path:
    """Label Studio's export of tasks: those of ``chosen`` are annotated, by a function of the predicted regions."""
    tasks = json.loads((folder / "tasks-001.json").read_text(encoding="utf-8"))
    for number, task in enumerate(tasks, start=1):
        image = task["data"]["image"].rpartition("=images/")[2]
        name = image.rpartition(".")[0]
        regions = task["predictions"][0]["result"]
        task |= {"id": number, "annotations": [], "drafts": [], "project": 1, "inner_id": number}
        if name in chosen:
            result = chosen[name](regions)
            task["annotations"] = [{"id": 10 + number, "was_cancelled": False, "ground_truth": False, "result": result}]
        if prefix:
            task["data"]["image"] = f"/data/upload/1/{prefix}{image.rpartition('/')[2]}"
    path = folder / "project-1.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    shapes = {"a": (19, 23), "trip/b": (12, 31), "trip/C": (16, 9)}
    masks = {name: _blobs(seed, shape, [0, 1, 2, 3]) for seed, (name, shape) in enumerate(shapes.items())}
    return Run(tmp_path, NAMES, masks).write()


@pytest.fixture
def plain(tmp_path: Path) -> Run:
    """Without a background."""
    return Run(tmp_path, PLAIN, {name: _blobs(seed, (14, 17), [0, 1, 2]) for seed, name in enumerate("ab")}).write()


@pytest.fixture
def blobs() -> Callable[[int, tuple[int, int], list[int]], np.ndarray]:
    """Makes labels from a seed, a size and the labels to use."""
    return _blobs


@pytest.fixture
def labelled() -> Callable[..., Path]:
    """Makes Label Studio's export from what dhr exported."""
    return _labelled
