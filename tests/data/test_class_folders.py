"""One folder a class, as people's disks hold it."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.data import DataSet, open_data
from dhr.data.open import format_of
from dhr.data.places import split_of
from dhr.errors import DataError

Lay = Callable[..., Path]


@pytest.fixture
def lay_out(formats: ModuleType, tmp_path: Path) -> Lay:
    """Writes files: photographs, texts by their suffix, and empty folders by a slash at the end."""

    def write(*names: str, root: str = "set") -> Path:
        for name in names:
            path = tmp_path / root / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            elif path.suffix.lower() in (".jpg", ".png"):
                formats.photograph(path)
            else:
                formats.write(path, "x")
        return tmp_path / root

    return write


def tags(data: DataSet) -> dict[str, str]:
    return {one.name: ";".join(data.classes.names[tag] for tag in one.tags) for one in data.samples}


def told(data: DataSet) -> str:
    return " | ".join(f"{problem.source}: {problem.reason}" for problem in data.problems)


def test_days_inside_a_class_count_for_it_and_are_told(lay_out: Lay) -> None:
    root = lay_out("Jar/day 1/a.jpg", "Jar/day2/a.jpg", "Mug/2024/05/a.jpg", "Mug/b.jpg")
    assert format_of(root) == "class-folders"
    data = open_data(root)
    assert tags(data) == {"Jar/day 1/a": "Jar", "Jar/day2/a": "Jar", "Mug/2024/05/a": "Mug", "Mug/b": "Mug"}
    assert data.notes == ("folders inside a class folder count for its class: 'Jar/day 1', 'Jar/day2', 'Mug/2024/05'",)
    assert not data.problems


def test_an_empty_folder_is_a_class_to_come(lay_out: Lay) -> None:
    root = lay_out("Jar/a.jpg", "Bowl/", "Mug/.DS_Store")
    assert format_of(root) == "class-folders"
    data = open_data(root)
    assert data.classes.names == ("background", "Bowl", "Jar", "Mug")
    assert data.notes == ("no photograph yet in the class folders 'Bowl', 'Mug'",)
    assert not data.problems


def test_a_photograph_beside_the_folders_is_named(lay_out: Lay) -> None:
    root = lay_out("Jar/a.jpg", "Mug/a.jpg", "overview.jpg", "README.md")
    assert format_of(root) == "class-folders"
    data = open_data(root)
    assert tags(data) == {"Jar/a": "Jar", "Mug/a": "Mug"}
    assert [Path(one.source).name for one in data.problems] == ["overview.jpg"]


SPLITS = [
    "train",
    "Training",
    "TRAIN",
    "val",
    "Valid",
    "Validation",
    "dev",
    "test",
    "Testing",
    "test_set",
    "train-images",
]


@pytest.mark.parametrize(
    ("one", "other"),
    [(one, other) for other in ("Training", "Test") for one in SPLITS if one.casefold() != other.casefold()],
)
def test_folders_named_as_splits_never_become_classes(lay_out: Lay, one: str, other: str) -> None:
    root = lay_out(f"{one}/Jar/a.jpg", f"{one}/Mug/b.jpg", f"{other}/Jar/c.jpg", f"{other}/Mug/d.jpg")
    assert format_of(root) == "class-folders"
    for kind in ("auto", "class-folders"):
        data = open_data(root, format=kind)
        assert data.classes.names == ("background", "Jar", "Mug")
        assert len(data.samples) == 4
        assert tags(open_data(root, split=one.lower(), format=kind)) == {"Jar/a": "Jar", "Mug/b": "Mug"}


def test_a_split_is_found_by_what_it_says(lay_out: Lay) -> None:
    root = lay_out("Training/Jar/a.jpg", "Training/Mug/a.jpg", "Validation/Jar/b.jpg")
    assert tags(open_data(root, split="val")) == {"Jar/b": "Jar"}
    assert len(open_data(root, split="train").samples) == 2
    with pytest.raises(DataError, match="no split 'test'; there are 'Training', 'Validation'"):
        open_data(root, split="test")


def test_photographs_of_a_split_in_no_class_folder_are_named(lay_out: Lay) -> None:
    root = lay_out("train/Jar/a.jpg", "train/Mug/b.jpg", "train/c.jpg", "test/1.jpg", "test/2.jpg", "d.jpg")
    assert format_of(root) == "class-folders"
    data = open_data(root)
    assert tags(data) == {"train/Jar/a": "Jar", "train/Mug/b": "Mug"}
    assert sorted(Path(one.source).name for one in data.problems) == ["1.jpg", "2.jpg", "c.jpg", "d.jpg"]
    assert [Path(one.source).name for one in open_data(root, split="train").problems] == ["c.jpg"]


def test_folders_of_splits_without_classes_are_refused(lay_out: Lay) -> None:
    root = lay_out("train/a.jpg", "test/b.jpg")
    for kind in ("auto", "class-folders"):
        with pytest.raises(DataError, match="'test', 'train' being names of splits"):
            open_data(root, format=kind)


def test_a_class_named_as_a_split_inside_of_splits(lay_out: Lay) -> None:
    root = lay_out("train/bus/a.jpg", "train/train/b.jpg", "val/bus/c.jpg", "val/train/d.jpg")
    data = open_data(root)
    assert data.classes.names == ("background", "bus", "train")
    assert tags(data)["train/train/b"] == "train"


def test_a_folder_named_as_a_split_beside_classes_is_named_unless_listed(lay_out: Lay) -> None:
    root = lay_out("bus/a.jpg", "car/b.jpg", "train/c.jpg")
    data = open_data(root)
    assert tags(data) == {"bus/a": "bus", "car/b": "car"}
    assert "it is named as a split, so it is not a class; list it in classes.txt" in told(data)
    (root / "classes.txt").write_text("background\nbus\ncar\ntrain\n")
    assert tags(open_data(root)) == {"bus/a": "bus", "car/b": "car", "train/c": "train"}


def test_one_split_beside_other_folders_is_refused_by_name(lay_out: Lay) -> None:
    root = lay_out("train/cat/a.jpg", "train/dog/a.jpg", "extra/b.jpg")
    for kind in ("auto", "class-folders"):
        with pytest.raises(
            DataError, match="'train' is named as a split and has folders in it, but lies beside 'extra'"
        ):
            open_data(root, format=kind)
    data = open_data(lay_out("val/cat/c.jpg"))
    assert sorted(tags(data)) == ["train/cat/a", "train/dog/a", "val/cat/c"]
    assert "it lies beside splits" in told(data)


def test_a_folder_in_a_folder_of_the_same_split(lay_out: Lay) -> None:
    root = lay_out(
        *(f"{split}_set/{split}_set/{one}/{one}.jpg" for split in ("training", "test") for one in ("cat", "dog"))
    )
    data = open_data(root)
    assert data.classes.names == ("background", "cat", "dog")
    assert "training_set/cat/cat" in tags(data)


def test_what_systems_leave_behind_is_passed_over(lay_out: Lay) -> None:
    root = lay_out(
        "Jar/a.jpg", "Jar/Thumbs.db", "Jar/.DS_Store", "Jar/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "Mug/b.jpg",
        "Mug/desktop.ini", "__MACOSX/Jar/._a.jpg", "@eaDir/x.jpg", ".git/x.jpg", "#recycle/b.jpg",
    )  # fmt: skip
    assert format_of(root) == "class-folders"
    data = open_data(root)
    assert tags(data) == {"Jar/a": "Jar", "Mug/b": "Mug"}
    assert not data.problems


def test_a_folder_of_other_files_only_is_named_and_no_class(lay_out: Lay) -> None:
    root = lay_out("Jar/a.jpg", "Mug/b.jpg", "Bowl/IMG_1.HEIC", "Bowl/IMG_2.HEIC")
    data = open_data(root)
    assert data.classes.names == ("background", "Jar", "Mug")
    assert "Bowl: no photograph is in this folder, only files such as 'IMG_1.HEIC'" in told(data)


def test_photographs_of_the_background_are_negatives(lay_out: Lay) -> None:
    data = open_data(lay_out("Background/a.jpg", "Mug/b.jpg"))
    assert data.classes.names == ("background", "Mug")
    assert tags(data) == {"Background/a": "", "Mug/b": "Mug"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_folders_match_classes_in_either_unicode_form(lay_out: Lay, form: str) -> None:
    name = unicodedata.normalize(form, "Krüge")
    root = lay_out(f"train/{name}/a.jpg", f"train/{unicodedata.normalize('NFC', 'Gläser')}/b.jpg", f"val/{name}/c.jpg")
    assert open_data(root).classes.names == ("background", "Gläser", "Krüge")
    (root / "classes.txt").write_text(unicodedata.normalize("NFD", "background\nKrüge\nGläser\n"), encoding="utf-8")
    data = open_data(root)
    assert not data.problems
    assert len(data.samples) == 3


def test_folders_that_differ_in_case_only_are_one_class_and_told(lay_out: Lay) -> None:
    root = lay_out("TRAIN/Cat/a.jpg", "TRAIN/Dog/a.jpg", "valid/cat/b.jpg")
    data = open_data(root)
    assert data.classes.names == ("background", "Cat", "Dog")
    assert tags(data)["valid/cat/b"] == "Cat"
    assert data.notes == ("tags are read in other letters than classes have: 'cat' as 'Cat'",)
    (root / "classes.txt").write_text("background\ncat\ndog\n")
    assert open_data(root).classes.names == ("background", "cat", "dog")
    assert len(open_data(root).samples) == 3


@pytest.mark.parametrize("name", ["images", "Masks", "labels", "photos"])
def test_a_folder_that_other_layouts_have_is_no_class_unless_the_user_says_so(lay_out: Lay, name: str) -> None:
    root = lay_out(f"{name}/a.jpg", "more/b.jpg")
    with pytest.raises(DataError, match=f"{name}' is not named like a class; .* choose --format class-folders"):
        open_data(root)
    assert name in open_data(root, format="class-folders").classes.names


def test_one_folder_is_not_taken_for_a_class(lay_out: Lay) -> None:
    root = lay_out("DCIM/a.jpg")
    with pytest.raises(DataError, match=r"'DCIM' is the only folder of photographs; .* choose --format class-folders"):
        open_data(root)
    assert tags(open_data(root, format="class-folders")) == {"DCIM/a": "DCIM"}
    (root / "classes.txt").write_text("background\nDCIM\n")
    assert format_of(root) == "class-folders"


def test_annotations_beside_photographs_are_not_passed_over(lay_out: Lay, formats: ModuleType) -> None:
    root = lay_out("batch1/a.jpg", "batch2/b.jpg")
    formats.annotation(root / "batch1/a.xml", "cat")
    formats.annotation(root / "batch2/b.xml", "dog")
    with pytest.raises(DataError, match="has XML annotations in it, which --format voc reads"):
        open_data(root)
    assert tags(open_data(root, format="voc")) == {"batch1/a": "cat", "batch2/b": "dog"}


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=12))
def test_what_a_split_is_depends_on_neither_case_nor_blanks(name: str) -> None:
    assert split_of(name) in ("train", "val", "test", None)
    assert split_of(name) == split_of(f" {name} ")
    if name.isascii():
        assert split_of(name) == split_of(name.upper()) == split_of(name.lower())
