"""Classes of a folder of masks and of a data set: matched by name, whatever their numbers."""

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dhr.data import VOID, ClassTable, FolderDataSet, palette, read_mask, write_mask
from dhr.data.benchmarks import benchmark
from dhr.data.numbering import class_table_of, numbering
from dhr.data.palette import class_palette
from dhr.errors import DataError, ItemError

NAMES = ("cat", "dog", "Vogel", "Straße", "猫")


def put(folder: Path, labels: np.ndarray, names: tuple[str, ...] | None = None) -> Path:
    """A folder with one mask, and a class table if names are given."""
    folder.mkdir(parents=True, exist_ok=True)
    write_mask(folder / "a.png", labels.astype(np.uint8))
    if names is not None:
        (folder / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return folder


@given(
    st.lists(st.integers(0, len(NAMES) - 1), min_size=1, max_size=9),
    st.booleans(),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_classes_are_matched_by_name(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[int], ours: bool, theirs: bool, random: Random
) -> None:
    """In any order, with and without a background on either side."""
    order = list(NAMES)
    random.shuffle(order)
    classes = ClassTable((*(["background"] * ours), *NAMES), ours)
    names = (*(["background"] * theirs), *order)
    named = [NAMES[number] for number in drawn]
    folder = put(tmp_path_factory.getbasetemp() / "matched", np.array([[*map(names.index, named), VOID]]), names)
    labels = numbering(classes, folder).read(folder / "a.png")
    assert [classes.names[label] for label in labels[0, :-1]] == named
    assert labels[0, -1] == VOID
    same = names == classes.names
    assert bool(numbering(classes, folder).notes) is not same


def test_a_background_that_the_data_set_lacks_is_void(tmp_path: Path) -> None:
    folder = put(tmp_path, np.array([[0, 1, 2]]), ("Background", "dog", "cat"))
    found = numbering(ClassTable(("cat", "dog"), False), folder)
    assert found.read(folder / "a.png").tolist() == [[VOID, 1, 0]]
    assert any("read as void" in note for note in found.notes)


def test_names_that_do_not_match_are_refused_by_name(tmp_path: Path) -> None:
    classes = ClassTable(("background", "cat", "dog"), True)
    with pytest.raises(DataError, match=r"'background', 'cat', 'dog', got those of .*'aeroplane', 'bicycle'"):
        numbering(classes, put(tmp_path / "none", np.zeros((2, 2)), ("aeroplane", "bicycle")))
    folder = put(tmp_path / "some", np.array([[0, 1, 2, 2]]), ("background", "cat", "hound"))
    found = numbering(classes, folder)
    assert any("does not have these classes of" in note and "'hound'" in note for note in found.notes)
    assert any("cannot show 'dog'" in note for note in found.notes)
    with pytest.raises(ItemError, match=r"expected classes of the data set, got 'hound' of classes.txt in 2 pixels"):
        found.read(folder / "a.png")
    write_mask(folder / "a.png", np.array([[0, 1]], np.uint8))
    assert found.read(folder / "a.png").tolist() == [[0, 1]]  # the class of the other name is not shown


def test_upper_and_lower_case_count_only_where_they_tell_names_apart(tmp_path: Path) -> None:
    folder = put(tmp_path, np.array([[0, 1]]), ("Dog", "CAT"))
    assert numbering(ClassTable(("cat", "dog"), False), folder).read(folder / "a.png").tolist() == [[1, 0]]
    assert numbering(ClassTable(("dog", "Dog", "CAT"), False), folder).ids == (1, 2)


@pytest.mark.parametrize("place", ["masks", "stages/cam", "training_masks", "first/masks", "first/stages/base"])
def test_the_record_of_a_run_names_its_classes(tmp_path: Path, place: str) -> None:
    folder = put(tmp_path / "out" / place, np.array([[0, 1, 2]]))
    assert class_table_of(folder) is None
    record = tmp_path / "out" / "run.json"
    record.write_text(json.dumps({"classes": ["background", "dog", "cat"], "background": True}), encoding="utf-8")
    assert class_table_of(folder) == ClassTable(("background", "dog", "cat"), True)
    found = numbering(ClassTable(("cat", "dog"), False), folder)
    assert found.read(folder / "a.png").tolist() == [[VOID, 1, 0]]
    (folder / "classes.txt").write_text("cat\ndog\nowl\n", encoding="utf-8")  # what lies nearer counts
    assert class_table_of(folder) == ClassTable(("cat", "dog", "owl"), False)


@pytest.mark.parametrize(
    "record",
    [
        {"classes": "cat", "background": True},
        {"classes": ["cat", 1], "background": False},
        {"classes": ["cat"], "background": 1},
        {"classes": ["background"], "background": True},
        {"classes": ["cat", "cat"], "background": False},
        {"classes": [f"c{number}" for number in range(256)], "background": False},
    ],
)
def test_a_damaged_record_is_one_clear_error(tmp_path: Path, record: object) -> None:
    folder = put(tmp_path / "masks", np.zeros((2, 2)))
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=r"run\.json: expected .*damaged") as error:
        class_table_of(folder)
    assert "\n" not in str(error.value)


def test_a_run_of_an_older_version_is_read_by_number(tmp_path: Path) -> None:
    folder = put(tmp_path / "masks", np.array([[0, 1]]))
    (tmp_path / "run.json").write_text('{"status": "finished"}', encoding="utf-8")
    found = numbering(ClassTable(("cat", "dog"), False), folder)
    assert found.notes == () and found.read(folder / "a.png").tolist() == [[0, 1]]


def test_the_colours_of_a_data_set_follow_its_names(tmp_path: Path) -> None:
    """ADE20K's classes in another order: the colours of a sorted palette are still its own."""
    classes = benchmark("ade").classes
    folder = put(tmp_path, np.zeros((1, 1)), classes.names[::-1])
    used = [3, 1, 2]
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette(class_palette(classes)[used].tobytes())
    image.save(folder / "a.png")
    assert numbering(classes, folder).read(folder / "a.png").tolist() == [used]


def own_palette(root: Path, numbers_right: bool, tags: bool = True) -> Path:
    """Four photographs whose masks have the colours of other classes than their numbers."""
    names = [f"c{number}" for number in range(12)]
    lines = ["image,tags"]
    (root / "images").mkdir(parents=True)
    (root / "truth").mkdir()
    for name, pair in zip("pqrs", ((1, 2), (3, 4), (5, 6), (7, 8)), strict=True):
        Image.new("RGB", (4, 2)).save(root / "images" / f"{name}.png")
        image = Image.fromarray(np.array([[pair[0]] * 4, [pair[1]] * 4], np.uint8))
        image.putpalette(np.roll(palette(), -1, axis=0).tobytes())  # number n has the colour of class n + 1
        image.save(root / "truth" / f"{name}.png")
        lines.append(f"{name}.png," + ";".join(names[number + (not numbers_right)] for number in pair))
    (root / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    (root / "tags.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


@pytest.mark.parametrize("numbers_right", [True, False])
def test_tags_tell_whether_numbers_or_colours_count(tmp_path: Path, numbers_right: bool) -> None:
    data = FolderDataSet(own_palette(tmp_path / "set", numbers_right))
    for sample in data.samples:
        assert set(np.unique(data.read_ground_truth(sample)).tolist()) == set(sample.tags)


def test_without_tags_one_palette_in_all_masks_is_the_folders_own(tmp_path: Path) -> None:
    truth = own_palette(tmp_path / "set", True) / "truth"
    classes = ClassTable(tuple(f"c{number}" for number in range(12)), False)
    masks = sorted(truth.glob("*.png"))
    found = numbering(classes, truth, [(mask, None) for mask in masks])
    assert all(np.array_equal(found.read(mask), read_mask(mask)) for mask in masks)
    assert any("in all masks alike; the pixel values count" in note for note in found.all_notes)
    one = numbering(classes, truth, [(masks[0], None)])  # of one mask, nobody knows: colours that are all classes'
    assert np.array_equal(one.read(masks[0]), read_mask(masks[0]) + 1)
    assert any("are read by their colours" in note for note in one.all_notes)


def test_a_table_among_the_ground_truth_counts(tmp_path: Path) -> None:
    root = own_palette(tmp_path / "set", True)
    names = (root / "classes.txt").read_text(encoding="utf-8").split("\n")
    (root / "truth" / "classes.txt").write_text("\n".join(names[::-1]), encoding="utf-8")
    for mask in (root / "truth").glob("*.png"):
        write_mask(mask, 11 - read_mask(mask))
    data = FolderDataSet(root)
    assert any("matched with the data set's by name" in note for note in data.notes)
    for sample in data.samples:
        assert set(np.unique(data.read_ground_truth(sample)).tolist()) == set(sample.tags)
