"""Tags against masks: what is said, what is refused, and that what is right is neither."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dhr.data import VOID, ClassTable
from dhr.data.agreement import Agreement
from dhr.errors import DataError

Photograph = tuple[tuple[int, ...] | None, dict[int, int]]
"""Tags, and pixels by label."""


def table(count: int, background: bool) -> ClassTable:
    return ClassTable((*(["background"] * background), *(f"c{number}" for number in range(count))), background)


def seen(classes: ClassTable, photographs: Sequence[Photograph], complete: bool = True) -> Agreement:
    found = Agreement(classes, complete=complete)
    for number, (tags, labels) in enumerate(photographs):
        pixels = np.zeros(256, np.int64)
        for label, count in labels.items():
            pixels[label] = count
        found.add(f"p{number}", tags, pixels)
    return found


def kinds(found: Agreement) -> list[str]:
    found.refuse_nothing()
    checks = found.checks()
    assert all("\n" not in check.text for check in checks)
    return [check.kind for check in checks]


def refusal(found: Agreement) -> str:
    with pytest.raises(DataError) as error:
        found.refuse_nothing()
    assert "\n" not in str(error.value)
    return str(error.value)


SETS = st.tuples(
    st.integers(2, 6),
    st.booleans(),
    st.lists(st.sets(st.integers(0, 5), min_size=1, max_size=3), min_size=1, max_size=8),
)


@given(SETS, st.booleans(), st.booleans())
def test_masks_that_show_just_their_tags_are_as_they_should_be(
    drawn: tuple[int, bool, list[set[int]]], void: bool, complete: bool
) -> None:
    count, background, sets = drawn
    start = int(background)
    photographs: list[Photograph] = []
    for classes in sets:
        tags = tuple(sorted({start + number % count for number in classes}))
        labels = {**dict.fromkeys(tags, 10), **({0: 50} if background else {}), **({VOID: 5} if void else {})}
        photographs.append((tags, labels))
    assert kinds(seen(table(count, background), photographs, complete)) == []


@given(SETS, st.booleans())
def test_a_numbering_that_begins_elsewhere_is_noticed(drawn: tuple[int, bool, list[set[int]]], down: bool) -> None:
    """Ground truth from 1 where the data set has no background; from 0 where it has one."""
    count, _, sets = drawn
    background = not down
    classes, start = table(count, background), int(background)
    photographs: list[Photograph] = []
    for one in sets:
        tags = tuple(sorted({start + number % count for number in one}))
        stored = [tag + 1 if down else tag - 1 for tag in tags]
        # Unlabelled pixels are 0 in the first, void in the second.
        photographs.append((tags, {**dict.fromkeys(stored, 10), **({0: 10} if down else {VOID: 10})}))
    assume(len(photographs) >= 3)
    assume(down or any(label not in (0, VOID) for _, labels in photographs for label in labels))
    assume(not any(count in labels for _, labels in photographs) or not down)  # an id beyond the table is refused
    found = seen(classes, photographs)
    try:
        found.refuse_nothing()
    except DataError as error:
        text = str(error)
    else:
        text = " ".join(check.text for check in found.checks())
    assert ("numbered from 1" if down else "without the background") in text


def test_a_numbering_is_refused_where_nothing_fits_as_stored() -> None:
    shifted = [((1,), {2: 5, 0: 3}), ((3,), {4: 5, 0: 3}), ((5,), {6: 5, 0: 3})]
    text = refusal(seen(table(8, False), [*shifted, *shifted]))
    assert "numbered from 1" in text and "6 of 6 photographs; as stored, of 0; subtract 1" in text
    text = refusal(seen(table(8, True), [((tag + 1,), {tag: 5}) for tag in (1, 3, 5, 7)]))
    assert "add 1 to each label" in text


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (
            {0: 9, VOID: 4},
            "255, which is void (as are COCO's crowds) and not a class; store 'c0' as 1",
        ),
        ({VOID: 4}, "pixels are 255"),
        ({0: 9}, "they show only the background (0); store 'c0' as 1"),
    ],
)
def test_masks_of_which_no_tagged_class_can_be_scored_are_refused(labels: dict[int, int], reason: str) -> None:
    text = refusal(seen(table(1, True), [((1,), labels)] * 6))
    assert text.startswith("ground truth: no pixel of any tag in any of the 6 tagged photographs; ") and reason in text
    assert "COCO" not in refusal(seen(table(1, True), [((1,), labels)] * 6, complete=False))
    text = refusal(seen(table(1, True), [(None, labels)] * 6))  # without tags: no class at all
    assert text.startswith("ground truth: no pixel of any class in 6 masks; ") and reason in text


def test_other_classes_alone_are_refused() -> None:
    text = refusal(seen(table(4, True), [((1,), {0: 5, 3: 5}), ((2,), {0: 5, 4: 5})]))
    assert "they show other classes; check the order of the classes" in text


def test_some_photographs_are_named_and_the_others_count() -> None:
    good: Photograph = ((1,), {0: 5, 1: 5})
    found = seen(table(2, True), [good, ((1,), {0: 5, VOID: 5}), good, ((1,), {0: 9})])
    assert kinds(found) == ["nothing_tagged"]
    assert "in 2 of 4 tagged photographs: 'p1', 'p3'; pixels are 255" in found.checks()[0].text


def test_classes_that_are_tagged_or_there_alone_are_counted() -> None:
    found = seen(table(3, False), [((0, 1), {0: 5, 2: 5})] * 4 + [((0,), {0: 5})])
    assert kinds(found) == ["not_in_truth", "not_tagged"]
    first, second = (check.text for check in found.checks())
    assert first.endswith("tagged, but no mask shows them: 'c1' (4 photographs)")
    assert second.endswith("that are not tagged with them: 'c2' (4 photographs, and no photograph is tagged with it)")
    assert kinds(seen(table(3, False), [((0, 1), {0: 5, 2: 5})] * 4, complete=False)) == ["not_tagged"]
    assert kinds(seen(table(3, False), [((0, 1), {0: 5})] * 4, complete=False)) == []  # it vanished: scored elsewhere


def test_negatives_and_masks_without_tags() -> None:
    assert kinds(seen(table(2, True), [((), {0: 9})] * 3)) == []
    assert kinds(seen(table(2, True), [((), {0: 9}), ((1,), {0: 5, 1: 5})])) == []
    assert kinds(seen(table(2, True), [(None, {0: 9, 2: 3}), (None, {VOID: 3})])) == ["void"]
    assert kinds(seen(table(2, True), [((), {0: 9, 1: 5}), ((1,), {0: 5, 1: 5})])) == ["not_tagged"]
    assert kinds(seen(table(2, True), [])) == []
