"""What ``dhr export`` makes of masks that a person or another program has made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import palette, read_mask, write_mask
from dhr.errors import DataError
from dhr.export import FORMATS, export

NAMES = ("background", "mug", "cup")
LABELS = {name: np.array([[0, 1, 1, 0], [0, 1, 2, 2]], np.uint8) for name in "abc"}


def place(to: str) -> str:
    """The option that names where an export of this format goes."""
    return "--file" if to in FORMATS and FORMATS[to].one_file else "--out"


@pytest.mark.parametrize("to", sorted(FORMATS))
@pytest.mark.parametrize("kind", ["0 and 255", "background", "other classes"])
def test_masks_without_any_tag_are_refused_before_anything_is_written(
    plain: Callable[..., Any], dhr: Any, tmp_path: Path, to: str, kind: str
) -> None:
    given = plain({name: LABELS[name] % 2 for name in LABELS}, NAMES)  # tagged with mug alone
    for name in LABELS:
        shown = {"0 and 255": 255, "background": 0, "other classes": 2}[kind]
        write_mask(given.folder / f"{name}.png", (LABELS[name] % 2 * shown).astype(np.uint8))
    ended = dhr(["export", "--data", given.root, "--masks", given.folder, "--to", to, place(to), tmp_path / "out"])
    assert ended.code == 2 and ended.err.count("\n") == 1
    nothing, other = "no pixel of any tag in any of the 3 tagged photographs", "seem to be numbered from 1"
    assert (other if kind == "other classes" else nothing) in ended.err
    words = {
        "0 and 255": "255, which is void",
        "background": "only the background",
        "other classes": "subtract 1",
    }
    assert words[kind] in ended.err
    assert not (tmp_path / "out").exists()


def test_a_few_of_them_are_counted(plain: Callable[..., Any], dhr: Any, tmp_path: Path) -> None:
    given = plain(LABELS, NAMES)
    write_mask(given.folder / "b.png", np.where(LABELS["b"] > 0, 255, 0).astype(np.uint8))
    ended = dhr(["export", "--data", given.root, "--masks", given.folder, "--to", "png", "--out", tmp_path / "out"])
    assert ended.code == 0
    assert "no pixel of any tag in 1 of 3 tagged photographs: 'b'; pixels are 255, which is void" in ended.out


def test_edited_masks_are_exported_as_what_they_show(plain: Callable[..., Any], tmp_path: Path) -> None:
    given = plain(LABELS, NAMES)
    Image.fromarray(palette()[LABELS["a"]]).save(given.folder / "a.png")
    Image.fromarray(LABELS["b"].astype(np.uint16)).save(given.folder / "b.png")
    Image.fromarray(LABELS["c"]).save(given.folder / "c.png", "JPEG")
    done = given.export("png", tmp_path / "out")
    assert [problem.source for problem in done.problems] == ["c"] and "got JPEG" in done.problems[0].reason
    for name in "ab":
        assert np.array_equal(read_mask(tmp_path / "out" / f"{name}.png"), LABELS[name])


def test_classes_are_matched_by_name(plain: Callable[..., Any], dhr: Any, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    given = plain(LABELS, NAMES)
    moved = tmp_path / "moved"
    for name, labels in LABELS.items():
        write_mask(moved / f"{name}.png", np.array([255, 1, 0], np.uint8)[labels])  # without a background
    (moved / "classes.txt").write_text("cup\nmug\n", encoding="utf-8")
    for number, masks in enumerate((given.folder, moved)):
        out = tmp_path / f"{number}.json"
        ended = dhr(["export", "--data", given.root, "--masks", masks, "--to", "coco", "--file", out])
        assert ended.code == 0, ended.err
        assert ("matched with the data set's by name" in ended.out) is (masks == moved)
    first, second = (json.loads((tmp_path / f"{number}.json").read_text()) for number in range(2))
    assert first["annotations"] == second["annotations"] and len(first["annotations"]) == 6
    (moved / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    with pytest.raises(DataError, match="got those of"):
        export(given.data, moved, "png", tmp_path / "none")


def test_another_table_makes_masks_anew(plain: Callable[..., Any], tmp_path: Path) -> None:
    """The same files, numbered otherwise, are not what is there already."""
    given = plain({name: LABELS[name] for name in "ab"}, NAMES)
    (given.folder / "classes.txt").write_text("background\nmug\ncup\n", encoding="utf-8")
    given.export("png", tmp_path / "out")
    assert given.export("png", tmp_path / "out").kept == 2
    (given.folder / "classes.txt").write_text("background\ncup\nmug\n", encoding="utf-8")
    assert given.export("png", tmp_path / "out").kept == 0
    assert np.array_equal(read_mask(tmp_path / "out" / "a.png"), np.array([0, 2, 1], np.uint8)[LABELS["a"]])
