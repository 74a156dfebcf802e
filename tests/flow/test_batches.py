"""Membership of batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.flow.batches import batches

ITEMS = st.lists(st.tuples(st.integers(0, 5), st.integers()), unique=True, max_size=60)


def _shape(item: tuple[int, int]) -> int:
    return item[0]


@given(ITEMS, st.integers(1, 9))
def test_each_item_is_in_one_batch_of_its_shape(items: list[tuple[int, int]], most: int) -> None:
    found = batches(items, _shape, most)
    assert sorted(item for batch in found for item in batch) == sorted(items)
    assert all(1 <= len(batch) <= most and len({_shape(item) for item in batch}) == 1 for batch in found)
    for shape in {_shape(item) for item in items}:
        sizes = [len(batch) for batch in found if _shape(batch[0]) == shape]
        assert all(size == most for size in sizes[:-1])


@given(ITEMS, st.integers(1, 9))
def test_the_order_of_items_and_batches_is_that_of_the_list(items: list[tuple[int, int]], most: int) -> None:
    place = {item: number for number, item in enumerate(items)}
    found = [[place[item] for item in batch] for batch in batches(items, _shape, most)]
    assert all(batch == sorted(batch) for batch in found)
    assert [batch[0] for batch in found] == sorted(batch[0] for batch in found)


@given(ITEMS, ITEMS, st.integers(1, 9))
def test_items_of_other_shapes_do_not_matter(
    items: list[tuple[int, int]], others: list[tuple[int, int]], most: int
) -> None:
    mixed = [*((other, True) for other in others[::2]), *((item, False) for item in items)]
    mixed += [(other, True) for other in others[1::2]]
    both = batches(mixed, lambda pair: (pair[1], pair[0][0]), most)
    alone = [tuple(item for item, _ in batch) for batch in both if not batch[0][1]]
    assert alone == batches(items, _shape, most)


def test_a_batch_has_an_item() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        batches([1], lambda item: item, 0)
