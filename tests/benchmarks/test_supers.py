"""A data set at the level of its super-classes."""

import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.data import FolderDataSet
from dhr.data.samples import DataSet
from dhr.errors import DataError

COCO = Path(os.environ.get("DHR_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "coco_mini"

SuperClasses = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "supers.py"))["SuperClasses"]


def folder(root: Path, supers: str | None) -> FolderDataSet:
    (root / "images").mkdir()
    (root / "truth").mkdir()
    (root / "classes.txt").write_text("background\ncat\ntree\nowl\n")
    (root / "tags.csv").write_text("image,tags\na.png,cat;owl\nb.png,tree\n")
    for name in ("a", "b"):
        Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(root / "images" / f"{name}.png")
        truth = np.array([[0, 1, 2, 3, 255]] * 4, np.uint8)
        Image.fromarray(truth).save(root / "truth" / f"{name}.png")
    if supers is not None:
        (root / "supercategories.csv").write_text(supers)
    return FolderDataSet(root)


def test_tags_and_truth_name_super_classes(tmp_path: Path) -> None:
    fine = folder(tmp_path, "class,supercategory\ncat,animal\ntree,plant\nowl,animal\n")
    data = SuperClasses(fine)
    assert isinstance(data, DataSet)
    assert data.classes.names == ("background", "animal", "plant")
    assert data.classes.background
    assert [sample.tags for sample in data.samples] == [(1,), (2,)]
    assert [sample.name for sample in data.samples] == [sample.name for sample in fine.samples]
    sample = data.samples[0]
    assert data.read_ground_truth(sample)[0].tolist() == [0, 1, 2, 1, 255]
    assert np.array_equal(data.read_image(sample), fine.read_image(fine.samples[0]))
    assert data.digest(sample) == fine.digest(fine.samples[0])
    assert list(data.problems) == list(fine.problems)


def test_without_super_classes_it_says_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"supercategories\.csv"):
        SuperClasses(folder(tmp_path, None))


def test_a_super_class_called_as_the_background_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'background'"):
        SuperClasses(folder(tmp_path, "class,supercategory\ncat,background\ntree,plant\nowl,animal\n"))


@pytest.mark.skipif(not COCO.is_dir(), reason=f"needs {COCO}")
def test_coco_has_twelve() -> None:
    data = SuperClasses(FolderDataSet(COCO))
    assert len(data.classes.names) == 13
    for sample in data.samples[:10]:
        present = set(np.unique(data.read_ground_truth(sample)).tolist()) - {0, 255}
        assert present <= set(sample.tags)
