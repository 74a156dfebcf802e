"""Every reader by the same contract, and what distinguishes the formats."""

import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dhr.data import READERS, VOID, DataSet, open_data
from dhr.data.open import format_of
from dhr.errors import ConfigError, DataError, ItemError

Lay = Callable[[str], Path]

EXPECTED: dict[str, dict[str, tuple[str, ...]]] = {
    "voc": {"2007_000032": ("aeroplane", "person"), "2007_000039": ("tvmonitor",), "2008_000001": ("cat",)},
    "context": {"a": ("aeroplane", "wood"), "b": ("ground",)},
    "ade": {"ADE_train_1": ("wall", "flag"), "ADE_val_1": ("person",)},
    "stuff": {"000000000009": ("person", "wood"), "000000000139": ("stop sign", "banner")},
    "coco": {"000000000009": ("person", "dog"), "000000000025": ("elephant",)},
    "release": {"2007_000032": ("aeroplane", "person"), "2007_000033": ("cat",)},
    "folder": {"a": ("cat", "dog")},
    "yolo": {"a": ("dog", "cat"), "c": (), "trip/b": ("dog",)},
    "datumaro": {"a": ("cat",), "trip/b": ("dog",)},
    "cvat": {"default/a": ("dog", "кошка & co"), "default/trip/b": ("dog",)},
    "label-studio": {"a": ("cat", "dog"), "b": ("dog",), "trip/c d": ("=1+1",)},
    "huggingface": {"a": ("cat", "dog"), "00000001": ("cat",)},
    "class-folders": {"cat/1": ("cat",), "cat/2": ("cat",), "dog/1": ("dog",)},
    "manifest": {"a": ("cat", "dog"), "c": (), "trip/b": ("cat",)},
}
TRUTH: dict[str, dict[str, set[int]]] = {
    "voc": {"2007_000032": {0, 1, 15, VOID}, "2007_000039": {0, 20}, "2008_000001": {0, 8, VOID}},
    "context": {"a": {VOID, 0, 58}, "b": {29, VOID}},
    "ade": {"ADE_train_1": {VOID, 0, 149}, "ADE_val_1": {12, VOID}},
    "stuff": {"000000000009": {0, 170, VOID}, "000000000139": {11, 80}},
    "coco": {"000000000009": {1, 2, VOID}, "000000000025": {0, 3}},
    "release": {"2007_000032": {0, 1, 15, VOID}, "2007_000033": {0, 8}},
    "folder": {"a": {0, 1, 2}},
    "yolo": {"a": {0, 1, 2}, "c": {0}},
    "datumaro": {"a": {0, 2}},
    "huggingface": {"a": {0, 1, 2}, "00000001": {0, 1, 2}},
    "manifest": {"a": {0, 1, 2}},
}


@pytest.mark.parametrize("kind", READERS)
def test_every_reader_gives_samples_of_its_layout(lay: Lay, kind: str) -> None:
    root = lay(kind)
    assert format_of(root) == kind
    for chosen in ("auto", kind):
        data = open_data(root, format=chosen)
        assert isinstance(data, DataSet) and list(data.problems) == []
        names = data.classes.names
        assert {one.name: tuple(names[tag] for tag in one.tags) for one in data.samples} == EXPECTED[kind]
        assert [one.name for one in data.samples] == sorted(EXPECTED[kind])
        assert data.classes.background == (names[0] == "background")
    for sample in data.samples:
        assert data.read_image(sample).shape == (6, 8, 3)
        assert len(data.digest(sample)) == 64
        assert sample.has_ground_truth == (sample.name in TRUTH.get(kind, {}))
        if sample.has_ground_truth:
            truth = data.read_ground_truth(sample)
            assert truth.shape == (6, 8) and set(np.unique(truth).tolist()) == TRUTH[kind][sample.name]
        else:
            with pytest.raises(ItemError, match=r"no (such )?ground-truth mask|has no outline|not its outline"):
                data.read_ground_truth(sample)


@pytest.mark.parametrize("kind", READERS)
def test_every_reader_can_be_sent_to_another_process(lay: Lay, kind: str) -> None:
    data = open_data(lay(kind))
    again = pickle.loads(pickle.dumps(data))
    assert again.samples == data.samples and again.classes == data.classes
    sample = data.samples[0]
    assert np.array_equal(again.read_image(sample), data.read_image(sample))
    if sample.has_ground_truth:
        assert np.array_equal(again.read_ground_truth(sample), data.read_ground_truth(sample))


@pytest.mark.parametrize("kind", READERS)
def test_every_reader_refuses_an_empty_folder_and_an_unknown_split_in_one_line(
    lay: Lay, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    root = lay(kind)
    for folder, split in ((tmp_path / "empty", None), (root, "no-such-split")):
        with pytest.raises((DataError, ConfigError)) as error:
            open_data(folder, split=split, format=kind)
        assert len(str(error.value).splitlines()) == 1
        assert split is None or split in str(error.value)


@pytest.mark.parametrize(
    ("kind", "split", "names"),
    [
        ("voc", "train", {"2007_000032", "2007_000039"}),
        ("voc", "train_aug", {"2007_000032", "2008_000001"}),
        ("context", "train", {"a"}),
        ("ade", "training", {"ADE_train_1"}),
        ("ade", "val", {"ADE_val_1"}),
        ("stuff", "train2017", {"000000000009"}),
        ("stuff", "val", {"000000000139"}),
        ("coco", "train2017", {"000000000009", "000000000025"}),
        ("coco", "train", {"000000000009", "000000000025"}),
        ("release", "validation", {"2007_000033"}),
    ],
)
def test_splits_under_their_official_names(lay: Lay, kind: str, split: str, names: set[str]) -> None:
    assert {one.name for one in open_data(lay(kind), split=split).samples} == names


def test_a_folder_of_no_layout_says_what_each_looks_for(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(DataError) as error:
        open_data(tmp_path)
    message = str(error.value)
    assert "there is 'notes' in it" in message and len(message.splitlines()) == 1
    assert all(name in message and reader.looks_for in message for name, reader in READERS.items())
    with pytest.raises(DataError, match="check the path"):
        open_data(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"--format must be auto or one of voc, .*; got 'VOC'"):
        open_data(tmp_path, format="VOC")


def test_what_is_missing_in_a_plain_folder_is_said_by_its_reader(lay: Lay) -> None:
    root = lay("folder")
    (root / "tags.jsonl").rename(root / "t.jsonl")
    with pytest.raises(DataError, match=r"expected a file tags\.csv in it"):
        open_data(root)
    (root / "t.jsonl").rename(root / "tags.jsonl")
    (root / "tags.csv").write_text("image,tags\na,cat\n")
    with pytest.raises(DataError, match="expected one file of tags"):
        open_data(root)


def test_several_published_layouts_are_never_guessed_between(lay: Lay, formats: ModuleType) -> None:
    root = lay("stuff")
    formats.coco(root)
    with pytest.raises(DataError, match="several formats fit, stuff, coco; choose one with --format"):
        open_data(root)
    assert open_data(root, split="train2017", format="coco").classes.background
    assert not open_data(root, split="train2017", format="stuff").classes.background


def test_a_folder_with_tags_of_its_own_is_a_folder_whatever_else_is_in_it(lay: Lay, formats: ModuleType) -> None:
    root = lay("folder")
    formats.coco(root)
    assert format_of(root) == "folder"


def test_the_manual_names_every_layout_and_what_it_is_recognised_by() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for kind in READERS:
        assert f"| `{kind}` |" in manual
