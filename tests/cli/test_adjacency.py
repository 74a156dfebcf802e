"""``dhr adjacency``, called as users do."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import write_mask

SHARED = Path(os.environ.get("DHR_SHARED", Path(__file__).parents[2].parent / "shared"))
VOC = SHARED / "data" / "voc2012" / "SegmentationClass"


def strip(*parts: tuple[int, int]) -> np.ndarray:
    """Columns of (class, width), 10 pixels high."""
    return np.concatenate([np.full((10, width), label, np.uint8) for label, width in parts], axis=1)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """A person on a horse (inter), a cat beside a dog (intra), and a bird alone."""
    folder = tmp_path / "masks"
    write_mask(folder / "ride.png", strip((15, 30), (255, 4), (13, 10), (0, 60)))
    write_mask(folder / "pets.png", strip((8, 10), (12, 10), (0, 80)))
    write_mask(folder / "bird.png", strip((0, 60), (3, 40)))
    return folder


def test_a_folder_of_voc_masks_alone(masks: Path, dhr: Any, tmp_path: Path) -> None:
    ended = dhr(["adjacency", "--ground-truth", masks, "--json", tmp_path / "a.json", "--picture", tmp_path / "a.png"])
    assert ended.code == 0, ended
    figures = json.loads((tmp_path / "a.json").read_text())
    assert (figures["adjacent"], figures["inter"]) == (60.0, 66.6667)
    assert [pair["classes"] for pair in figures["pairs"]] == [["horse", "person"], ["cat", "dog"]]
    assert figures["vanishing"] is None
    assert "60.0" in ended.out
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG" and len(picture.getcolors(1 << 20) or ()) > 10


def test_who_vanishes_in_whose_company(masks: Path, dhr: Any, tmp_path: Path) -> None:
    pred = tmp_path / "pred"
    write_mask(pred / "ride.png", strip((15, 44), (0, 60)))  # the horse is gone
    write_mask(pred / "pets.png", strip((8, 10), (0, 9), (12, 1), (0, 80)))  # a tenth of the dog is left
    write_mask(pred / "bird.png", strip((0, 60), (3, 40)))
    assert dhr(["adjacency", "--ground-truth", masks, "--masks", pred, "--json", tmp_path / "a.json"]).code == 0
    found = json.loads((tmp_path / "a.json").read_text())["vanishing"]
    assert (found["alone"]["appearances"], found["alone"]["vanished"]) == (1, 0)
    assert (found["touching"]["appearances"], found["touching"]["vanished"], found["touching"]["low"]) == (4, 1, 1)
    first = found["pairs"][0]
    assert (first["class"], first["companion"], first["together"]["vanished"]) == ("horse", "person", 1)


def test_bad_masks_are_named_and_skipped(masks: Path, dhr: Any, tmp_path: Path) -> None:
    (masks / "broken.png").write_bytes((masks / "bird.png").read_bytes()[:60])
    Image.new("RGB", (4, 4)).save(masks / "colour.png")
    ended = dhr(["adjacency", "--ground-truth", masks, "--supers", _supers(tmp_path), "--json", tmp_path / "a.json"])
    assert ended.code == 2  # a picture in colours among the first: not VOC's masks
    (masks / "colour.png").unlink()
    ended = dhr(["adjacency", "--ground-truth", masks, "--json", tmp_path / "a.json"])
    assert ended.code == 1 and "broken.png" in ended.out
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures["masks"] == 3 and len(figures["problems"]) == 1


def _supers(folder: Path) -> Path:
    path = folder / "supers.csv"
    path.write_text("class,supercategory\ncat,pet\n", encoding="utf-8")
    return path


def test_a_missing_prediction_is_named(masks: Path, dhr: Any, tmp_path: Path) -> None:
    write_mask(tmp_path / "pred" / "bird.png", strip((3, 100)))
    ended = dhr(["adjacency", "--ground-truth", masks, "--masks", tmp_path / "pred"])
    assert ended.code == 1 and "ride.png" in ended.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "--ground-truth"),
        (("--ground-truth", "nowhere"), "nowhere"),
        (("--ground-truth", "{masks}", "--groups", "uss"), "--data"),
        (("--ground-truth", "{masks}", "--groups", "animals"), "animals"),
        (("--ground-truth", "{masks}", "--region", "half"), "half"),
        (("--ground-truth", "{masks}", "--contact", "0"), "contact"),
        (("--ground-truth", "{masks}", "--masks", "nowhere"), "nowhere"),
        (("--ground-truth", "{masks}", "--split", "val"), "--data"),
    ],
)
def test_calls_that_cannot_work_are_one_line(arguments: tuple[str, ...], word: str, masks: Path, dhr: Any) -> None:
    ended = dhr(["adjacency", *(one.format(masks=masks) for one in arguments)])
    assert ended.code == 2 and word in ended.err and ended.err.count("\n") == 1, ended


def test_a_data_set_with_groups_from_features(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    more = ("--groups", "uss", "--uss.kind", "colour", "--uss.weights", "none", "--tau", "-1")
    ended = dhr(["adjacency", "--data", fresh.data, *more, "--json", tmp_path / "a.json"])
    assert ended.code == 0, ended
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures["masks"] == 5
    assert figures["inter"] in (0.0, None)  # at tau -1 all classes are one group


@pytest.mark.skipif(not VOC.is_dir(), reason=f"no VOC masks at {VOC}; set DHR_SHARED")
def test_the_papers_figures(dhr: Any, tmp_path: Path) -> None:
    assert dhr(["adjacency", "--ground-truth", VOC, "--json", tmp_path / "a.json"]).code == 0
    figures = json.loads((tmp_path / "a.json").read_text())
    assert abs(figures["adjacent"] - 35) <= 2
    assert abs(figures["inter"] - 79) <= 7
