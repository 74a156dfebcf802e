"""Files of ground truth that are the mask of no photograph are named, in every reader that has such a folder."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.data import FolderDataSet
from dhr.data.ground_truth import ListsGroundTruth, ground_truth_files
from dhr.data.open import open_data

MASK = Image.fromarray(np.zeros((6, 8), np.uint8))


def put(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        MASK.save(path) if path.suffix.lower() in (".png", ".jpg", ".tif") else path.write_text("x", encoding="utf-8")
    return folder


def test_masks_are_matched_with_photographs(tmp_path: Path) -> None:
    folder = put(tmp_path, "a.png", "trip/b.PNG", "classes.txt", ".hidden")
    found = ground_truth_files(folder, ["a", "trip/b", "c"])
    assert found.by_name == {"a": folder / "a.png", "trip/b": folder / "trip/b.PNG"}
    assert found.stray == ()
    assert ground_truth_files(tmp_path / "nowhere", ["a"]).by_name == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a_mask.png", "no photograph is called 'a_mask'"),
        ("trip/a.png", "no photograph is called 'trip/a'"),
        ("a.jpg", "expected a mask in PNG, got .jpg, which may change pixel values"),
        ("a.tif", "expected a mask in PNG, got .tif; save it as PNG"),
        ("a.PNG", "'a.PNG' is the mask of the same photograph|'a.png' is the mask of the same photograph"),
        ("notes.docx", "not an image"),
    ],
)
def test_a_file_of_no_photograph_is_named(tmp_path: Path, name: str, reason: str) -> None:
    stray = ground_truth_files(put(tmp_path, "a.png", name), ["a"]).stray
    assert len(stray) == 1
    assert any(part in stray[0].reason for part in reason.split("|"))


def test_a_folder_names_them_whatever_the_split(make: Callable[..., Path]) -> None:
    root = make({"a.png": "cat", "b.png": "dog"}, splits={"one": "a\n"})
    put(root / "truth", "a.png", "b.png", "b_mask.png", "c_mask.png")
    for split in (None, "one"):
        data = FolderDataSet(root, split)
        assert isinstance(data, ListsGroundTruth)
        assert [Path(one.source).name for one in data.stray_ground_truth] == ["b_mask.png", "c_mask.png"]
        note = "ground truth not used: .*b_mask.png: no photograph .*1 more for the same reason: .*c_mask.png"
        assert len(data.notes) == 1
        assert re.search(note, data.notes[0])


@pytest.mark.parametrize("split", [None, "train"])
def test_folders_of_classes_name_them(tmp_path: Path, split: str | None) -> None:
    put(tmp_path, "train/cat/a.jpg", "val/dog/b.jpg")
    above = "" if split else "train/"
    put(tmp_path / "truth", f"{above}cat/a.png", f"{above}cat/a_mask.png", f"{above}cat/a.jpg")
    data = open_data(tmp_path, split=split)
    assert [one.has_ground_truth for one in data.samples] == [True] + [False] * (split is None)
    assert isinstance(data, ListsGroundTruth)
    assert [Path(one.source).name for one in data.stray_ground_truth] == ["a.jpg", "a_mask.png"]
