"""A folder of no known layout: the error says what is nearest, and what to do."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from dhr.data import READERS, open_data
from dhr.errors import DataError

Lay = Callable[[str], Path]

ABOVE_OR_BELOW = [
    "voc",
    "context",
    "ade",
    "stuff",
    "coco",
    "release",
    "folder",
    "cvat",
    "label-studio",
    "class-folders",
]


def refused(root: Path, kind: str = "auto") -> str:
    with pytest.raises(DataError) as error:
        open_data(root, format=kind)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("kind", ABOVE_OR_BELOW)
def test_the_right_folder_below_is_named(lay: Lay, tmp_path: Path, kind: str) -> None:
    lay(kind).rename(tmp_path / "moved")
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "moved").rename(tmp_path / "outer" / "inner" / "data")
    inner = tmp_path / "outer" / "inner"
    assert f"{str(inner / 'data')!r} has the format {kind}: give it as --data" in refused(inner)
    message = refused(inner, kind)
    if kind == "class-folders":  # one folder could be a class with folders of days
        assert "the only folder, with 'cat', 'dog' in it; give it as --data if these are the classes" in message
    else:
        assert f"{str(inner / 'data')!r} has the format {kind}: give it as --data" in message


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        ("voc", "VOCdevkit/VOC2012/JPEGImages"), ("ade", "ADEChallengeData2016/images"), ("coco", "annotations"),
        ("folder", "images"), ("cvat", "images"), ("label-studio", "images"),
    ],
)  # fmt: skip
def test_the_right_folder_above_is_named(lay: Lay, kind: str, inner: str) -> None:
    root = lay(kind)
    above = (root / inner).parent
    for chosen in ("auto", kind):
        message = refused(root / inner, chosen)
        assert f"the folder above, {str(above)!r}, has the format {kind}: give it as --data" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x/data.json", '{"images": [], "annotations": [], "categories": []}', "COCO's: call it annotations/"),
        ("a.json", '{"version": "5", "shapes": [], "imagePath": "a.jpg"}', "labelme's, one file per photograph"),
        ("via.json", '{"_via_img_metadata": {"a": {"regions": [{"shape_attributes": {}}]}}}', "VGG Image Annotator"),
        ("s.json", '{"objects": [{"classTitle": "cat"}]}', "Supervisely's"),
        ("x/export.xml", "<annotations><image/></annotations>", "CVAT's: call it annotations.xml"),
        ("Annotations/a.xml", "<annotation></annotation>", "VOC's annotations: put photographs into JPEGImages/"),
        ("labels.csv", "filename,label\na.jpg,cat\n", "a table of tags: call it tags.csv"),
        ("Photos.xlsx", "PK", "a spreadsheet: call it tags.xlsx"),
        ("set.zip", "PK", "an archive: unpack it"),
        ("set.tar.gz", "x", "an archive: unpack it"),
        ("data/train-00000.parquet", "PAR1", "datasets.load_dataset('{root}').save_to_disk('saved')"),
        ("set-train.arrow", "x", "a cache of Hugging Face's"),
        ("train/metadata.jsonl", '{"file_name": "a.jpg"}', "load_dataset('imagefolder', data_dir='{root}')"),
    ],
)  # fmt: skip
def test_files_that_look_like_annotations_are_named(
    tmp_path: Path, formats: ModuleType, name: str, content: str, words: str
) -> None:
    root = tmp_path / "set"
    formats.write(root / name, content)
    message = refused(root)
    assert repr(name) in message or str(root / name) in message
    assert words.replace("{root}", str(root)) in message
    formats.photograph(root / "images" / "a.jpg")  # then the reader of plain folders says what it lacks, and this too
    if name != "Annotations/a.xml":
        assert words.replace("{root}", str(root)) in refused(root)


def test_no_file_of_tags_is_told_to_take_the_name_that_it_has(tmp_path: Path, formats: ModuleType) -> None:
    formats.write(tmp_path / "set" / "tags.csv", "image,tags\na.jpg,cat\n")
    formats.write(tmp_path / "set" / "classes.txt", "cat\n")
    message = refused(tmp_path / "set")
    assert "expected a folder images/" in message and "looks like" not in message
    formats.photograph(tmp_path / "set" / "images" / "a.jpg")
    message = refused(tmp_path)
    assert "has the format folder: give it as --data" in message and "looks like" not in message


def test_many_files_of_a_kind_are_one_reason(tmp_path: Path, formats: ModuleType) -> None:
    for number in range(30):
        formats.write(tmp_path / f"{number}.json", '{"shapes": [], "imagePath": "a.jpg"}')
    assert "'0.json' and 29 more look like labelme's" in refused(tmp_path)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["JPEGImages/a.jpg"], "nearest is voc: 'JPEGImages' is there, Annotations or SegmentationClass"),
        (["images/training/a.jpg", "x/a"], "nearest is ade: 'images/training' is there, annotations/training"),
        (["train/image/a.jpg"], "nearest is release: 'train/image' is there, */xml or */mask is missing"),
        (["dataset_info.json"], "nearest is huggingface: 'dataset_info.json' is there, state.json is missing"),
        (["a.jpg", "b.jpg"], "there are photographs such as 'a.jpg', and nothing tags them: put them into images/"),
        (["cat/a.jpg", "masks/b.jpg"], "not class-folders: .*masks' is not named like a class"),
    ],
)
def test_what_the_nearest_layout_lacks_is_said(
    tmp_path: Path, formats: ModuleType, files: list[str], words: str
) -> None:
    for name in files:
        formats.photograph(tmp_path / name) if name.endswith(".jpg") else formats.write(tmp_path / name, "{}")
    pattern = words if ".*" in words else re.escape(words)
    assert re.search(pattern, refused(tmp_path))


def test_a_wrong_path_costs_no_time(tmp_path: Path, formats: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of files a few are opened, however many there are."""
    for number in range(1_500):
        formats.write(tmp_path / f"{number}.json", "{}")
    opened: list[Path] = []
    from dhr.data import nearest

    real = nearest.open_regular
    monkeypatch.setattr(nearest, "open_regular", lambda path: (opened.append(path), real(path))[1])
    refused(tmp_path)
    assert 0 < len(opened) <= 400


@pytest.mark.parametrize("kind", READERS)
def test_an_error_of_a_folder_that_has_the_layout_gets_no_advice(lay: Lay, kind: str) -> None:
    root = lay(kind)
    with pytest.raises(DataError) as error:
        open_data(root, split="no-such-split", format=kind)
    assert "give it as --data" not in str(error.value)
