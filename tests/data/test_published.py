"""Published formats as people have them: other names, files too many, lists of labels of every form."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.data import DataSet, open_data
from dhr.data.image_labels import read_image_labels
from dhr.data.samples import ClassTable
from dhr.errors import DataError

Lay = Callable[[str], Path]

IMAGES = {
    "voc": "VOCdevkit/VOC2012/JPEGImages", "context": "VOC2010/JPEGImages", "release": "train_aug/image",
    "ade": "ADEChallengeData2016/images/training", "stuff": "images/train2017",
}  # fmt: skip
MASKS = {
    "voc": "VOCdevkit/VOC2012/SegmentationClass", "context": "VOC2010/SegmentationClassContext",
    "release": "train_aug/mask", "ade": "ADEChallengeData2016/annotations/training",
    "stuff": "stuffthingmaps_trainval2017/train2017",
}  # fmt: skip


def told(data: DataSet) -> str:
    return " | ".join(f"{problem.source}: {problem.reason}" for problem in data.problems)


def named(data: DataSet) -> dict[str, tuple[str, ...]]:
    return {one.name: tuple(data.classes.names[tag] for tag in one.tags) for one in data.samples}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_no_photograph_and_files_that_are_no_png_are_named(lay: Lay, formats: ModuleType, kind: str) -> None:
    root = lay(kind)
    assert not any("ground truth not used" in note for note in open_data(root).notes)
    formats.mask(root / MASKS[kind] / "gone_mask.png", [0, 1])
    formats.photograph(root / MASKS[kind] / "other.jpg")
    notes = " | ".join(open_data(root).notes)
    assert "gone_mask.png: no photograph is called 'gone_mask'" in notes
    assert "other.jpg: expected a mask in PNG, got .jpg" in notes


@pytest.mark.parametrize("kind", MASKS)
def test_photographs_of_every_kind_and_unicode_in_either_form(lay: Lay, formats: ModuleType, kind: str) -> None:
    root = lay(kind)
    name = "Müller é"
    formats.photograph(root / IMAGES[kind] / f"{unicodedata.normalize('NFD', name)}.bmp")
    number = 0 if kind == "stuff" else 1
    formats.mask(root / MASKS[kind] / f"{unicodedata.normalize('NFC', name)}.png", [number])
    first = {"voc": "aeroplane", "release": "aeroplane", "context": "aeroplane", "ade": "wall", "stuff": "person"}[kind]
    xml = {"voc": "VOCdevkit/VOC2012/Annotations", "release": "train_aug/xml"}.get(kind)
    if xml is not None:
        formats.annotation(root / xml / f"{unicodedata.normalize('NFC', name)}.xml", first)
    data = open_data(root)
    sample = next(one for one in data.samples if "ller" in one.name)
    assert [data.classes.names[tag] for tag in sample.tags] == [first]
    assert set(np.unique(data.read_ground_truth(sample))) == {sample.tags[0]}
    assert not data.problems


@pytest.mark.parametrize("kind", ["context", "ade", "stuff"])
def test_tags_that_match_no_photograph_are_named(lay: Lay, formats: ModuleType, kind: str) -> None:
    root = lay(kind)
    top = {"context": root / "VOC2010", "ade": root / "ADEChallengeData2016", "stuff": root}[kind]
    name = sorted((root / IMAGES[kind]).iterdir())[0].stem
    first = open_data(root).classes.names[0]
    formats.write(
        top / "tags.csv", f"image,tags\nC:\\photos\\{name}.png.bak\\{name},{first}\ngone.jpg,{first}\n,{first}\n"
    )
    data = open_data(root)
    assert named(data) == {name: (first,)}
    assert "tags.csv line 3: no image 'gone.jpg' in" in told(data)
    assert "tags.csv line 4: no image is named" in told(data)


def test_a_list_of_context_names_what_is_not_there(lay: Lay, formats: ModuleType) -> None:
    root = lay("context")
    formats.write(root / "VOC2010/ImageSets/SegmentationContext/train.txt", "JPEGImages/a.jpg\ngone\n")
    data = open_data(root, split="train")
    assert list(named(data)) == ["a"]
    assert "train.txt line 2: no image 'gone' in" in told(data)


def test_other_masks_of_coco_stuff_are_no_strays(lay: Lay, formats: ModuleType) -> None:
    root = lay("stuff")
    folder = root / MASKS["stuff"]
    formats.mask(folder / "000000000009_instanceTrainIds.png", [0])
    assert not any("ground truth not used" in note for note in open_data(root).notes)
    formats.mask(folder / "000000000009_labelTrainIds.png", [0, 91])
    data = open_data(root, split="train")
    assert not any("ground truth not used" in note for note in data.notes)
    assert data.samples[0].tags == (0, 91)


def test_the_release_takes_tags_from_masks_where_there_is_no_xml(lay: Lay) -> None:
    root = lay("release")
    for path in sorted((root / "train_aug/xml").iterdir()):
        path.unlink()
    (root / "train_aug/xml").rmdir()
    assert named(open_data(root, split="train_aug")) == {"2007_000032": ("aeroplane", "person")}


def test_the_release_names_annotations_of_no_photograph(lay: Lay, formats: ModuleType) -> None:
    root = lay("release")
    formats.annotation(root / "train_aug/xml/gone.xml", "cat")
    assert "gone.xml: no image 'gone' in train_aug/image/" in told(open_data(root))


CLASSES = ClassTable(("background", "jar", "mug", "cup"), background=True)


def written(tmp_path: Path, rows: list[object], text: bool = False) -> Path:
    path = tmp_path / ("cls_labels.txt" if text else "cls_labels.json")
    if text:
        path.write_text("".join(f"{index} {' '.join(map(str, row))}\n" for index, row in enumerate(rows)))  # type: ignore[call-overload]
    else:
        path.write_text(json.dumps({str(index): row for index, row in enumerate(rows)}))
    return path


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 2), min_size=1), min_size=1, max_size=6),
    st.sampled_from(["numbers", "names", "places", "floats", "text"]),
)
def test_lists_of_labels_mean_the_same_in_every_form(
    tmp_path_factory: pytest.TempPathFactory, labels: list[set[int]], form: str
) -> None:
    rows: list[object] = [
        [CLASSES.names[one + 1] for one in sorted(row)] if form == "names"
        else [kind(one in row) for one in range(3)] if (kind := {"places": int, "floats": float}.get(form))
        else sorted(row)
        for row in labels
    ]  # fmt: skip
    path = written(tmp_path_factory.mktemp("labels"), rows, form == "text")
    found = read_image_labels(path, CLASSES)
    for index, row in enumerate(labels):
        assert found[str(index)].tags == tuple(one + 1 for one in sorted(row))


def test_lists_that_can_be_numbers_or_places_are_refused(tmp_path: Path) -> None:
    two = ClassTable(("background", "jar", "mug"), background=True)
    with pytest.raises(DataError, match="which may be two class numbers, or one flag per class"):
        read_image_labels(written(tmp_path, [[0, 1], [1, 0]]), two)
    found = read_image_labels(written(tmp_path, [[0, 1], [1, 1]]), two)
    assert found["0"].tags == (2,)
    found = read_image_labels(written(tmp_path, [[0, 1, 0], [1]]), CLASSES)
    assert "a number twice among [0, 1, 0]" in str(found["0"].reason)


def test_the_order_of_the_classes_in_the_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "cls_labels.json"
    path.write_text(json.dumps({"classes": ["cup", "jar", "mug"], "labels": {"a": [0], "b": [1, 2]}}))
    found = read_image_labels(path, CLASSES)
    assert (found["a"].tags, found["b"].tags) == ((3,), (1, 2))
    path.write_text(json.dumps({"classes": ["cup", "jar", "pot"], "labels": {"a": [0]}}))
    with pytest.raises(DataError, match="its classes are not those of the data set"):
        read_image_labels(path, CLASSES)


def test_labels_are_matched_as_all_names_and_those_of_no_photograph_are_named(lay: Lay) -> None:
    root = lay("voc")
    top = root / "VOCdevkit/VOC2012"
    labels = {"JPEGImages/2007_000032.jpg": [0], "2007_000039": [19], "gone": [1]}
    (top / "cls_labels.json").write_text(json.dumps(labels))
    data = open_data(root)
    assert named(data) == {"2007_000032": ("aeroplane",), "2007_000039": ("tvmonitor",)}
    assert "cls_labels.json entry 3: no image 'gone' in JPEGImages/" in told(data)
    assert "2008_000001.jpg: no entry in" in told(data)
    assert "gone" not in told(open_data(root, split="train"))  # of a split, only what concerns its photographs


def test_a_number_with_thousands_of_digits_is_no_label(tmp_path: Path) -> None:
    found = read_image_labels(written(tmp_path, [["9" * 6_000], [1]], text=True), CLASSES)
    assert "unknown tag" in str(found["0"].reason)
    assert found["1"].tags == (2,)


def test_fixed_classes_are_not_added_to_a_file_that_nothing_reads(lay: Lay, formats: ModuleType) -> None:
    root = lay("ade")
    formats.write(root / "ADEChallengeData2016/tags.csv", "image,tags\nADE_train_1,qqqqq\nADE_val_1,wall\n")
    assert "unknown tag 'qqqqq'; correct it" in told(open_data(root))
    assert "classes.txt" not in told(open_data(root))
