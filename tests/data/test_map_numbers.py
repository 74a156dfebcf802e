"""How maps of other programs are numbered: what is read is what was meant, or it is refused."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dhr.data.map_numbers import (
    Numbered,
    Stack,
    find_stack,
    key_numbers,
    refuse_numbering,
    stack_numbers,
)
from dhr.data.plain_pickle import Refused
from dhr.data.samples import ClassTable

TABLE = ClassTable(("background", "red", "blue", "green"), background=True)
BARE = ClassTable(("red", "blue", "green"), background=False)


def numbered(keys: set[int], *tags: int) -> Numbered:
    return Numbered(frozenset(keys), tags)


@pytest.mark.parametrize(
    ("files", "asked", "remedy"),
    [
        ([numbered({0, 1}, 1), numbered({0, 1, 2}, 1, 2)], "tagged", "--wss.numbering table"),  # background first
        ([numbered({0, 1, 3}, 1, 3), numbered({0, 2}, 2)], "tagged", "--wss.numbering table"),
        ([numbered({0, 1, 2, 3}, 1)], "tagged", "--wss.numbering table"),  # a number beyond the last
        ([numbered({1}, 1), numbered({1, 2}, 1, 2)], "tagged", "--wss.numbering table"),  # ids of the table
        ([numbered({0}, 1), numbered({0, 1}, 1, 2)], "table", "--wss.numbering tagged"),
        ([numbered({0, 1, 2}, 1), numbered({0, 1, 2}, 2)], "table", "--wss.numbering tagged"),  # all classes
        # All but one file tell.
        ([numbered({5}, 1), *[numbered({0, 1}, 1)] * 9], "tagged", "--wss.numbering table"),
    ],
)
def test_what_fits_the_other_numbering_is_refused(files: list[Numbered], asked: str, remedy: str) -> None:
    with pytest.raises(Refused, match=remedy):
        refuse_numbering(files, TABLE, asked)
    refuse_numbering(files, TABLE, remedy.split()[-1])


def test_a_background_that_the_data_set_lacks_is_refused() -> None:
    with pytest.raises(Refused, match=r"classes\.txt"):
        refuse_numbering([numbered({0, 1}, 0), numbered({0, 2, 3}, 1, 2)], BARE, "tagged")
    refuse_numbering([numbered({0}, 0), numbered({1, 2}, 1, 2)], BARE, "tagged")
    refuse_numbering([numbered({0, 1, 2}, 0), numbered({0, 1, 2}, 1)], BARE, "table")


def test_one_odd_file_does_not_refuse_the_others() -> None:
    refuse_numbering([*[numbered({0}, 1)] * 9, numbered({7}, 1)], TABLE, "tagged")
    with pytest.raises(Refused, match="it lacks the map of red"):
        key_numbers({7}, "keys", (1,), TABLE, "tagged")
    with pytest.raises(Refused, match="class number 3, but the last class is 2"):
        key_numbers({0, 3}, "keys", (1,), TABLE, "tagged")
    refuse_numbering([], TABLE, "tagged")


TAGS = st.sets(st.integers(1, 4), min_size=1).map(lambda tags: tuple(sorted(tags)))
FOUR = ClassTable(("background", "a", "b", "c", "d"), background=True)
MEANT = {
    "tagged": lambda tags: {tag - 1 for tag in tags},
    "tagged, all": lambda tags: {0, 1, 2, 3},
    "table": lambda tags: set(tags),
    "table, background": lambda tags: {0, *tags},
    "table, all": lambda tags: {0, 1, 2, 3, 4},
}


@given(st.lists(TAGS, min_size=1, max_size=5), st.sampled_from(sorted(MEANT)), st.sampled_from(["tagged", "table"]))
def test_numbers_are_read_as_they_were_meant_or_refused(
    photographs: list[tuple[int, ...]], way: str, asked: str
) -> None:
    files = [Numbered(frozenset(MEANT[way](tags)), tags) for tags in photographs]
    meant, first = way.split(",")[0], 1 if way.startswith("tagged") else 0
    # All files look alike either way: with the default this is refused, with `table` the user has said what holds.
    alike = all(file.keys == {0, *file.tags} for file in files)
    assume(not (alike and (asked == "table" or meant == "tagged")))
    try:
        refuse_numbering(files, FOUR, asked)
        found = [key_numbers(file.keys, "keys", file.tags, FOUR, asked) for file in files]
    except Refused:
        assert asked != meant
        return
    assert found == [tuple(tag - first for tag in file.tags) for file in files]
    assert asked == meant


COUNTS = {
    "tags": lambda tags: len(tags),
    "classes": lambda tags: 4,
    "table": lambda tags: 5,
    "background": lambda tags: len(tags) + 1,
}


@given(st.lists(TAGS, min_size=1, max_size=5), st.sampled_from(sorted(COUNTS)))
def test_arrays_are_read_as_they_were_meant_or_refused(photographs: list[tuple[int, ...]], meant: Stack) -> None:
    counts = [(COUNTS[meant](tags), tags) for tags in photographs]
    right = [stack_numbers(count, tags, FOUR, "table", meant) for count, tags in counts]
    try:
        stack = find_stack(counts, FOUR, "tagged")
        found = [stack_numbers(count, tags, FOUR, "tagged", stack) for count, tags in counts]
    except Refused:
        pass
    else:
        assert found == right
    if meant in ("table", "background"):
        stack = find_stack(counts, FOUR, "table")
        assert [stack_numbers(count, tags, FOUR, "table", stack) for count, tags in counts] == right


def test_arrays_that_may_hold_several_things_are_refused() -> None:
    two = ClassTable(("background", "red", "blue"), background=True)
    with pytest.raises(
        Refused, match=r"all classes that can be tagged or the background and the tags.*numbering table"
    ):
        find_stack([(2, (1,)), (2, (1,))], two, "tagged")
    assert find_stack([(2, (1,)), (2, (1,))], two, "table") == "background"
    assert find_stack([(2, (1,)), (2, (1, 2))], two, "tagged") == "classes"  # the second tells
    with pytest.raises(Refused, match=r"it has 2 maps.*--wss.numbering table"):
        stack_numbers(2, (3,), TABLE)
    assert stack_numbers(2, (3,), TABLE, "table") == (1,)
