"""Every format that is written is read again: the same classes by name, the same photographs, the same pixels."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.data import open_data
from dhr.data.samples import DataSet
from dhr.errors import ConfigError
from dhr.evaluate import GroundTruthFolder, evaluate
from dhr.export import FORMATS
from dhr.export.through_datumaro import DATUMARO_FORMATS

ONE_WAY = {"voc-server", "ade-server"}
"""Archives for test servers: they hold numbers, and neither names of classes nor sizes of photographs."""

BY_IMPORT = {"fiftyone", "labels", "geojson"}
"""Formats that `dhr import` reads, not `--data` (tests/imports)."""

HOLDS_VOID = {"png", "coco", "lightly"}
"""Formats in which void comes back as void beside a background; in others it comes back as background."""

NEEDS = {"yolo": "cv2", "labelstudio": "label_studio_sdk.converter.brush", "datumaro": "datumaro"}

HARD = (
    *("say \"cat\", <b> & 'dog'", "猫 кот", "=1+1", "null", "a: b # c", "1", "yes", " ~x", "e\u0301", "🐈"),
    *("{a}", "-"),
)
ODD = ("#1", "b&c", "100%", "<&>", 'say "x" y', "=1", "ж.jpg", "-")
PLAIN = tuple(f"class-{number}" for number in range(60))


@dataclass(frozen=True)
class Case:
    names: tuple[str, ...]
    background: str | None
    seed: int

    @property
    def table(self) -> tuple[str, ...]:
        return (*([self.background] if self.background else []), *self.names)


CASES = {
    "hard names": Case(HARD, "background", 1),
    "hard names without background": Case(HARD, None, 2),
    "another background": Case(PLAIN[:3][::-1], "Background", 3),
    "one class": Case(("cat",), "background", 4),
    "one class without background": Case(("cat",), None, 5),
    "sixty": Case(PLAIN, "background", 6),
    "sixty without background": Case(PLAIN, None, 7),
}


def blobs(random: np.random.Generator, height: int, width: int, labels: list[int]) -> np.ndarray:
    """Labels with holes, islands in them, single pixels, diagonals, and void."""
    mask = np.full((height, width), labels[0], np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(8):
        y, x, r = random.integers(0, height), random.integers(0, width), random.integers(1, max(2, height // 2))
        distance = np.hypot(rows - y, columns - x)
        mask[(distance < r) & (distance > r * random.uniform(0, 0.8))] = random.choice(labels)
    noise = random.random(mask.shape) < 0.1
    mask[noise] = random.choice(labels, int(noise.sum()))
    mask[random.random(mask.shape) < 0.1] = 255
    return mask


def made(plain: Callable[..., Any], case: Case) -> Any:
    random = np.random.default_rng(case.seed)
    ids = list(range(len(case.table)))
    labels = {
        "a": blobs(random, 37, 53, ids),
        "trip/b.v2": blobs(random, 1, 9, ids),
        "trip/images/Straße 猫": blobs(random, 40, 21, ids),
        "it's": blobs(random, 16, 16, ids[-1:]),
    }
    for name in ODD if case.names == HARD else ():
        labels[name] = blobs(random, 9, 7, ids)
    if case.background:
        labels["only background"] = np.zeros((6, 5), np.uint8)
    return plain(labels, case.table)


def layout(given: Any, out: Path, to: str, kind: str | None, copied: bool) -> Path:
    """The export as a folder for ``--data``, as the manual tells."""
    if to in ("coco", "lightly"):
        given.export(to, out / "masks.json")
    else:
        more: dict[str, Any] = {"datumaro_format": kind} if kind else {}
        how = {"images": "none"} if kind or to == "yolo" else {}
        if copied:
            how["images"] = "copy" if kind else "link"
        for problem in given.export(to, out, **more, **how).problems:  # some of datumaro's lists hold no such names
            assert kind is not None and "cannot hold names" in problem.reason
            del given.labels[problem.source]
            (given.folder / f"{problem.source}.png").unlink()
    if not copied:
        shutil.copytree(given.root / "images", out / ("images/train" if to == "yolo" else "images"), dirs_exist_ok=True)
    return out


def check(data: DataSet, given: Any, case: Case, holds_void: bool) -> None:
    assert data.classes.names == given.data.classes.names and len(data.classes.names) == len(case.table)
    assert data.classes.background == (case.background is not None)
    assert {sample.name for sample in data.samples} == set(given.labels) and list(data.problems) == []
    for sample in data.samples:
        expected = given.labels[sample.name]
        if case.background and not holds_void:
            expected = np.where(expected == 255, 0, expected)
        assert (data.read_ground_truth(sample) == expected).all(), sample.name
        present = set(np.unique(expected).tolist()) - {255} - ({0} if case.background else set())
        assert set(sample.tags) == present


HARDEST = ("hard names", "hard names without background", "one class without background", "sixty")

READ = [to for to in FORMATS if to not in ONE_WAY | BY_IMPORT | {"datumaro", "png"}]

WAYS = [
    *((to, None, False, name) for to in READ for name in CASES),
    *(("yolo", None, True, name) for name in CASES),
    *(("datumaro", kind, False, name) for kind in DATUMARO_FORMATS for name in HARDEST),
    *(("datumaro", kind, True, name) for kind in DATUMARO_FORMATS for name in HARDEST[1:3]),
]


@pytest.mark.parametrize(("to", "kind", "copied", "name"), WAYS)
def test_what_is_written_is_read_again(
    to: str, kind: str | None, copied: bool, name: str, plain: Callable[..., Any], tmp_path: Path
) -> None:
    if to in NEEDS:
        pytest.importorskip(NEEDS[to])
    case = CASES[name]
    given = made(plain, case)
    try:
        root = layout(given, tmp_path / "out", to, kind, copied)
    except ConfigError as error:  # some of datumaro's formats hold no blanks or colons
        assert kind is not None and "holds names without" in str(error)
        names = tuple(name.replace(" ", "_").replace(":", ".").replace("#", "") for name in case.names)
        case = Case(names, case.background, case.seed)
        given = type(given)(given.root, case.table, given.labels).write()
        root = layout(given, tmp_path / "out", to, kind, copied)
    if kind == "arrow" and copied:  # its photographs are inside of it
        shutil.copytree(given.root / "images", root / "images")
    data = open_data(root)
    check(data, given, case, to in HOLDS_VOID)
    if to in HOLDS_VOID or not case.background:
        scores = evaluate(data, given.folder)
        assert scores.miou == 1.0 and scores.without_truth == 0


@pytest.mark.parametrize("name", CASES)
def test_png_is_ground_truth_of_a_data_folder_and_alone(name: str, plain: Callable[..., Any], tmp_path: Path) -> None:
    case = CASES[name]
    given = made(plain, case)
    given.export("png", given.root / "truth")
    for data in (open_data(given.root), GroundTruthFolder(given.root / "truth")):
        assert data.classes == given.data.classes
        assert {sample.name for sample in data.samples} == set(given.labels) and list(data.problems) == []
        for sample in data.samples:
            assert (data.read_ground_truth(sample) == given.labels[sample.name]).all()


def test_ground_truth_is_matched_by_the_names_of_its_own_classes(plain: Callable[..., Any], tmp_path: Path) -> None:
    labels = np.array([[0, 1, 2, 3, 255]], np.uint8)
    given = plain({"a": labels}, ("background", "cat", "dog", "owl"))
    given.export("png", given.root / "truth")
    (given.root / "classes.txt").write_text("Background\nowl\ncat\ndog\n")
    data = open_data(given.root)
    assert data.read_ground_truth(data.samples[0]).tolist() == [[0, 2, 3, 1, 255]]


def test_archives_for_servers_are_the_only_formats_that_are_not_read() -> None:
    assert {to for to, *_ in WAYS} | {"png"} | BY_IMPORT | ONE_WAY == set(FORMATS)
    manual = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    assert all(f"`{to}`" in manual for to in ONE_WAY) and "are not read again" in manual
