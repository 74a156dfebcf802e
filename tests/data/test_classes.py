"""``classes.txt`` as other programs write it, and class tables that lack only the word for the background."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dhr.data import FolderDataSet
from dhr.data.classes import read_classes
from dhr.data.photographs import list_photographs
from dhr.errors import DataError

Maker = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "names", "background", "words"),
    [
        ("background\ncat\n", ("background", "cat"), True, None),
        ("\ufeffBackground\r\ncat\r\n\r\n", ("Background", "cat"), True, None),
        ("_background_\ncat\n", ("_background_", "cat"), True, "'_background_' is the background"),
        ("__Background__\ncat\n", ("__Background__", "cat"), True, "is the background"),
        ("__ignore__\n_background_\ncat\n", ("_background_", "cat"), True, "'__ignore__' is not a class"),
        ("0: background\n1: cat\n2: dog\n", ("background", "cat", "dog"), True, "the numbers 0 to 2 are ids"),
        ("0 cat\n1 dog\n", ("cat", "dog"), False, "the numbers 0 to 1 are ids"),
        ("0\tcat\n1\tdog\n", ("cat", "dog"), False, "are ids"),
        ("0,cat\n1,dog\n", ("cat", "dog"), False, "are ids"),
        ("1 euro\n2 euro\n", ("1 euro", "2 euro"), False, None),
        ("1.5 bolt\n2.5 bolt\n", ("1.5 bolt", "2.5 bolt"), False, None),
        ("cup, saucer\nmug\n", ("cup, saucer", "mug"), False, None),
    ],
)
def test_lists_that_are_read(
    tmp_path: Path, text: str, names: tuple[str, ...], background: bool, words: str | None
) -> None:
    (tmp_path / "classes.txt").write_bytes(text.encode())
    classes = read_classes(tmp_path / "classes.txt")
    assert classes.names == names and classes.background == background
    assert len(classes.notes) >= (words is not None) and (words is None) == (classes.notes == ())
    assert words is None or any(words in note for note in classes.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cat,dog,tree\n", "got several in one line, 'cat,dog,tree'"),
        ("cat\tdog\n", "got several in one line"),
        ("cat,\ndog,\ntree\n", "line 1: expected a name, got 'cat,' with a comma after it"),
        ('["cat", "dog"]\n', "got JSON"),
        ('{\n"0": "cat",\n"1": "dog"\n}\n', "got JSON"),
        ("- cat\n- dog\n", "got YAML"),
        ("names:\n  0: cat\n", "got YAML"),
        ("1: cat\n2: dog\n", "expected class ids 0 to 1, as masks store them, got 1 to 2"),
        ("0: cat\n2: dog\n", "got 0 to 2"),
        ("cat\n_background_\n", "line 2: '_background_' must be the first line"),
    ],
)
def test_lists_that_are_refused_with_the_remedy(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError) as error:
        read_classes(tmp_path / "classes.txt")
    assert words in str(error.value) and "\n" not in str(error.value)
    assert "write only the names, one per line" in str(error.value) or "move it there" in str(error.value)


@pytest.mark.parametrize("first", ["unlabeled", "Unlabelled", "void", "_ignore_", "bg", "other", "none"])
@pytest.mark.parametrize("tags", ["cat", "cat;dog"])
def test_a_first_class_that_may_be_the_background_is_told(make: Maker, first: str, tags: str) -> None:
    data = FolderDataSet(make({"a.png": tags, "b.png": "cat;dog"}, classes=(first, "cat", "dog")))
    (note,) = data.notes
    assert f"no photograph is tagged with class 0, {first!r}" in note and "`background`" in note
    assert ("1 photograph has one tag" in note) == (tags == "cat")


def test_photographs_of_one_tag_without_a_background_are_told(make: Maker) -> None:
    (note,) = FolderDataSet(make({"a.png": "cat", "b.png": "cat;dog"}, classes=("road", "cat", "dog"))).notes
    assert "no background" in note and "make the first class `background`" in note and "1 photograph" in note
    assert FolderDataSet(make({"a.png": "cat;dog"}, classes=("road", "cat", "dog"))).notes == ()
    assert FolderDataSet(make({"a.png": "road", "b.png": "cat"}, classes=("road", "cat"))).notes == ()
    assert FolderDataSet(make({"a.png": "cat"}, classes=("background", "cat"))).notes == ()


def test_the_background_may_be_tagged_by_any_of_its_names(make: Maker) -> None:
    root = make({"a.png": "background;cat", "b.png": "_background_", "c.png": "BACKGROUND"}, ("_background_", "cat"))
    data = FolderDataSet(root)
    assert [sample.tags for sample in data.samples] == [(1,), (), ()] and not data.problems
    assert not any("letters" in note for note in data.notes)


def test_a_name_that_is_too_long_is_named_when_photographs_are_listed(make: Maker) -> None:
    long = "n" * 245 + ".png"
    root = make({"a.png": "cat", long: "cat"})
    data = FolderDataSet(root)
    assert [sample.name for sample in data.samples] == ["a"]
    (problem,) = data.problems
    assert problem.source.endswith(long) and "245 bytes" in problem.reason
    found = list_photographs(root)
    assert [one.name for one in found.listed] == ["a"] and "245 bytes" in found.problems[0].reason
