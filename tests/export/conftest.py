"""Data sets with masks of every kind of shape, and a way to export them."""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.data import FolderDataSet, write_mask
from dhr.export import ExportConfig, Exported, export

NAMES = ("background", "say \"cat\", <b> & 'dog'", "猫 кот", "=1+1", "null", "a: b # c")
"""What CSV, YAML, XML and spreadsheets could stumble over."""


@dataclass
class Masks:
    """A data folder, its masks, and what they hold."""

    root: Path
    names: tuple[str, ...] = NAMES
    labels: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "masks"

    @property
    def data(self) -> FolderDataSet:
        return FolderDataSet(self.root)

    def write(self) -> "Masks":
        """Write everything as a data folder; photographs are JPEGs."""
        for name, labels in self.labels.items():
            path = self.root / "images" / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((*labels.shape, 3), np.uint8)).save(path)
            write_mask(self.folder / f"{name}.png", labels)
        with (self.root / "tags.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "tags"])
            rows.writerows([f"{name}.jpg", self.tags(labels)] for name, labels in self.labels.items())
        (self.root / "classes.txt").write_text("\n".join(self.names) + "\n", encoding="utf-8")
        return self

    def tags(self, labels: np.ndarray) -> str:
        """The classes that a mask shows; without a background, the last one where it shows none."""
        start = int(self.names[0].lower() == "background")
        shown = [name for index, name in enumerate(self.names) if index >= start and (labels == index).any()]
        return ";".join(shown or self.names[len(self.names) - 1 + start :])

    def export(self, to: str, out: Path, split: str | None = None, **config: object) -> Exported:
        return export(FolderDataSet(self.root, split), self.folder, to, out, ExportConfig(**config), split=split)

    def held(self, name: str) -> np.ndarray:
        """What annotations can hold of a mask: void is as good as background."""
        labels = self.labels[name]
        return np.where(labels == 255, 0, labels).astype(np.uint8)


def shapes(seed: int, height: int, width: int, classes: int) -> np.ndarray:
    """Labels with holes, islands in them, single pixels, diagonals, borders, and void."""
    random = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(6):
        y, x, r = random.integers(0, height), random.integers(0, width), random.integers(1, max(2, height // 2))
        distance = np.hypot(rows - y, columns - x)
        labels[(distance < r) & (distance > r * random.uniform(0, 0.7))] = random.integers(0, classes)
    noise = random.random(labels.shape) < 0.05
    labels[noise] = random.integers(0, classes, int(noise.sum()))
    labels[random.random(labels.shape) < 0.03] = 255
    return labels


@pytest.fixture
def masks(tmp_path: Path) -> Masks:
    """Four photographs of different sizes, one in a sub-folder, one with nothing but background, hard class names."""
    labels = {
        "a": shapes(1, 37, 53, len(NAMES)),
        "b & <c>": shapes(2, 64, 40, len(NAMES)),
        "empty": np.zeros((8, 9), np.uint8),
        "trip/images/Straße 猫": shapes(3, 21, 90, len(NAMES)),
    }
    return Masks(tmp_path / "data", labels=labels).write()


@pytest.fixture
def plain(tmp_path: Path) -> Callable[[dict[str, np.ndarray], tuple[str, ...]], Masks]:
    """Any masks and classes."""
    return lambda labels, names: Masks(tmp_path / "data", names, labels).write()


@pytest.fixture(scope="session")
def voc() -> Path:
    """Real masks and photographs of VOC 2012."""
    repository = Path(__file__).parents[2]
    path = Path(os.environ.get("DHR_SHARED", repository.parent / "shared")) / "data" / "voc2012" / "real12"
    if not (path / "masks").is_dir():
        pytest.skip(f"no real masks in {path}; set DHR_SHARED")
    return path
