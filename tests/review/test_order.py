"""The order of the queue: every photograph once, the most doubtful first, and those that are alike apart."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.data.samples import ClassTable, Sample
from dhr.progress import silent
from dhr.records.item import ItemRecord
from dhr.review.entries import Entry, read_entries
from dhr.review.order import ALIKE, RECENT, Doubt, Doubts
from dhr.review.order import queue_order as order_of
from dhr.review.queue import reason

TAGS = ("cat", "dog", "cup")


def queue_order(rows: list[Doubt]) -> list[int]:
    found: list[int] = order_of(Doubts.of(rows)).tolist()
    return found


@st.composite
def doubts(draw: st.DrawFn) -> list[Doubt]:
    count = draw(st.integers(0, 40))
    quality = st.one_of(st.none(), st.sampled_from([0.13, 0.5, 0.55, 0.9]))
    tags = st.lists(st.sampled_from(TAGS), max_size=2, unique=True)
    rows = []
    for index in range(count):
        mine = tuple(draw(tags))
        rows.append(
            Doubt(f"{index}", draw(quality), (), mine, {tag: draw(st.sampled_from([0.1, 0.6])) for tag in mine})
        )
    return rows


@settings(max_examples=40)
@given(doubts(), st.randoms())
def test_every_row_once_whatever_their_order(rows: list[Doubt], random: Any) -> None:
    order = queue_order(rows)
    assert sorted(order) == list(range(len(rows)))
    mixed = random.sample(rows, len(rows))
    assert [rows[place].name for place in order] == [mixed[place].name for place in queue_order(mixed)]


@settings(max_examples=40)
@given(doubts())
def test_each_place_goes_to_the_most_doubt_without_what_its_kind_loses(rows: list[Doubt]) -> None:
    """As by its definition, which looks at all rows for each place."""
    left, expected = list(range(len(rows))), list[int]()
    while left:
        recent = [rows[place].kind for place in expected[-RECENT:]]

        def worth(place: int, recent: Any = recent) -> tuple[float, float, str]:
            row = rows[place]
            return -round(row.value - ALIKE * recent.count(row.kind) / RECENT, 9), -row.value, row.name

        expected.append(min(left, key=worth))
        left.remove(expected[-1])
    assert queue_order(rows) == expected


def test_ten_alike_are_not_asked_in_a_row_but_certain_masks_stay_behind() -> None:
    cats = [Doubt(f"cat {index}", 0.2, (), ("cat",), {"cat": 1.0}) for index in range(20)]
    dogs = [Doubt(f"dog {index}", 0.3, (), ("dog",), {"dog": 1.0}) for index in range(20)]
    cups = [Doubt(f"cup {index}", 0.95, (), ("cup",), {"cup": 1.0}) for index in range(20)]
    rows = [*cups, *dogs, *cats]
    order = [rows[place].tags[0] for place in queue_order(rows)]
    assert order[0] == "cat" and order[40:] == 20 * ["cup"]
    assert max(order[at : at + 10].count("cat") for at in range(12)) < 10
    assert {*order[:8]} == {"cat", "dog"}


def test_many_take_no_more_for_each_than_a_few(calls: Callable[[Callable[[], Any]], int]) -> None:
    def rows(count: int) -> list[Doubt]:
        return [
            Doubt(f"{index}", index * 7919 % count / count, (), (f"c{index % 20}",), {f"c{index % 20}": index % 3 / 3})
            for index in range(count)
        ]

    few, many = rows(300), rows(3_000)
    assert calls(lambda: queue_order(many)) < 12 * calls(lambda: queue_order(few))


def test_the_signs_are_those_of_the_record() -> None:
    item = ItemRecord("", 4, 3, tags=("cat", "dog"), ratios={"cat": 1.0, "dog": 0.0}, vanished=("dog",), quality=0.25)
    signs = Doubt.of("one", item)
    assert signs == Doubt("one", 0.25, ("dog",), ("cat", "dog"), {"cat": 1.0, "dog": 0.0})
    assert (signs.value, signs.kind) == (0.75, (("cat", 2), ("dog", 0)))


@pytest.mark.parametrize(
    ("lowest", "words"),
    [(0.05, "lowest 5\xa0% in quality"), (0.051, "lowest 10\xa0% in quality"), (0.5, "quality not low"), (None, "")],
)
def test_the_reason_names_the_lowest_share(lowest: float | None, words: str) -> None:
    assert reason(Entry("a", (), 0.5, lowest), ClassTable(("cat",), False)) == words


class Known:
    """Records of photographs of which only the quality is known."""

    def __init__(self, qualities: list[float]) -> None:
        self.qualities = qualities

    def names(self) -> Iterator[str]:
        return map(str, range(len(self.qualities)))

    def record(self, name: str) -> ItemRecord | None:
        return ItemRecord(quality=self.qualities[int(name)])

    def each(self, kind: Callable[..., Any], *, lenient: bool = False) -> Iterator[tuple[str, Any]]:
        return ((str(number), kind(quality=quality)) for number, quality in enumerate(self.qualities))


def test_one_of_ten_masks_is_the_lowest_tenth() -> None:
    samples = [Sample(str(number), "", (0,), False) for number in range(10)]
    records: Any = Known([0.1, 0.3, 0.3, *[0.9] * 7])
    found = read_entries(records, samples, ClassTable(("cat",), False), silent)
    assert [one.lowest for one in map(found.get, (0, 1, 2, 9)) if one is not None] == [0.1, 0.3, 0.3, 1.0]
