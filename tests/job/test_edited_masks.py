"""What ``dhr train --masks`` makes of masks that a person or another program has made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import FolderDataSet, palette, read_mask, write_mask
from dhr.errors import DataError
from dhr.job.taught_masks import Masks

TINY = (
    *("--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]", "--student-training.steps", "1"),
    *("--student-training.batch", "2", "--student-training.crop", "32"),
    *("--student-training.boundary", "none", "--no-student-training.recursion"),
)


def arguments(case: Any, masks: Path, out: Path) -> list[str]:
    call = [
        *case.run()[1:],
        *TINY,
        "--masks",
        str(masks),
        "--classifier.file",
        str(case.out / "classifier.safetensors"),
    ]
    call[call.index("--out") + 1] = str(out)
    return ["train", *call]


def masks_of(case: Any) -> dict[str, np.ndarray]:
    folder = case.out / "masks"
    return {path.relative_to(folder).as_posix(): read_mask(path) for path in sorted(folder.rglob("*.png"))}


def refused(ended: Any, *words: str) -> None:
    assert ended.code == 2 and ended.err.count("\n") == 1, ended
    for word in words:
        assert word in ended.err, ended.err


def test_edited_masks_teach_as_what_they_show(finished: Any, dhr: Any, tmp_path: Path) -> None:
    labels = masks_of(finished)
    for number, (name, one) in enumerate(labels.items()):
        path = finished.out / "masks" / name
        if number % 3 == 0:
            Image.fromarray(palette()[one]).save(path)
        elif number % 3 == 1:
            Image.fromarray(palette()[one]).convert("P", palette=Image.Palette.ADAPTIVE).save(path)
        else:
            Image.fromarray(one.astype(np.uint16)).save(path)
    data = FolderDataSet(finished.data)
    masks = Masks(finished.out / "masks", data.classes, data.samples)
    for sample in data.samples:
        assert np.array_equal(masks(sample), labels[f"{sample.name}.png"])
    ended = dhr(arguments(finished, finished.out / "masks", tmp_path / "student"))
    assert ended.code == 0 and "Student of 5 photographs" in ended.out


def test_several_that_cannot_be_read_stop_the_training_before_it_begins(
    finished: Any, dhr: Any, tmp_path: Path
) -> None:
    paths = sorted((finished.out / "masks").rglob("*.png"))
    for number, path in enumerate(paths[:3]):
        rgb = palette()[read_mask(path)]
        rgb[number, 0] = (1, 2, 3)
        Image.fromarray(rgb).save(path)
        ended = dhr(arguments(finished, finished.out / "masks", tmp_path / f"student{number}"))
        if number < 2:
            assert ended.code == 1 and f"Left out: {number + 1}" in ended.out and "of no class" in ended.out
    refused(
        ended, "3 masks in", "cannot be used", "(1, 2, 3) of no class", "remove them to leave these photographs out"
    )
    assert not (tmp_path / "student2" / "training").exists()
    paths[0].unlink()  # a photograph without a mask is left out
    assert dhr(arguments(finished, finished.out / "masks", tmp_path / "fewer")).code == 1


@pytest.mark.parametrize("black_and_white", [True, False])
def test_masks_without_any_tag_are_refused(finished: Any, dhr: Any, tmp_path: Path, black_and_white: bool) -> None:
    table = finished.data / "classes.txt"
    table.write_text("background\n" + table.read_text(encoding="utf-8"), encoding="utf-8")
    folder = tmp_path / "masks"  # a folder of its own, which no run's record explains
    for name, labels in masks_of(finished).items():
        write_mask(folder / name, np.where((labels > 0) & black_and_white, 255, 0).astype(np.uint8))
    words = "255, which is void" if black_and_white else "only the background (0)"
    ended = dhr(arguments(finished, folder, tmp_path / "student")[:-2])  # without a classifier for other classes
    refused(ended, "no pixel of any tag in any of the 5 tagged photographs", words, "store each class as its class id")
    assert not (tmp_path / "student" / "training").exists()


def test_a_few_without_their_tags_are_counted_and_classes_matched_by_name(
    finished: Any, dhr: Any, tmp_path: Path
) -> None:
    names = FolderDataSet(finished.data).classes.names
    folder = tmp_path / "masks"
    for number, (name, labels) in enumerate(masks_of(finished).items()):
        turned = np.where(labels == 255, 255, len(names) - 1 - labels.astype(int))
        write_mask(folder / name, (turned if number else np.full_like(labels, 255)).astype(np.uint8))
    (folder / "classes.txt").write_text("\n".join(names[::-1]), encoding="utf-8")
    data = FolderDataSet(finished.data)
    assert not data.classes.background
    ended = dhr(arguments(finished, folder, tmp_path / "student"))
    assert ended.code == 0, ended.err
    assert "no pixel of any tag in 1 of 5 tagged photographs" in ended.out
    assert "matched with the data set's by name" in ended.out
    (folder / "classes.txt").write_text("x\ny\n", encoding="utf-8")
    refused(dhr(arguments(finished, folder, tmp_path / "other")), "expected masks of the classes", "'x', 'y'")
    with pytest.raises(DataError):
        Masks(folder, data.classes).numbering  # noqa: B018
