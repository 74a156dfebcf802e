"""Batches are halved when memory runs out."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dhr.errors import ItemError
from dhr.flow.halving import BatchSize, automatic


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_the_size_is_halved_until_the_batch_fits(count: int, most: int, fits: int) -> None:
    said: list[str] = []
    size = BatchSize(most, said.append)

    def work(part: Sequence[int]) -> list[int]:
        if len(part) > fits:
            raise MemoryError
        return [item * 2 for item in part]

    found = [(part, loaded.get()) for part, loaded in size.attempt(range(count), work)]
    assert [item for part, _ in found for item in part] == list(range(count))
    assert [item for _, result in found for item in result] == [item * 2 for item in range(count)]
    assert all(len(part) <= min(most, fits) for part, _ in found)
    assert bool(said) == (size.most < most)
    if said:
        assert said[-1] == f"batch size halved to {size.most}, because memory ran out"
        assert len(said) == len(set(said))


@pytest.mark.parametrize(("given", "failures"), [(6, 1), (16, 2), (12, 2), (8, 1)])
def test_a_call_that_begins_with_the_halved_size_makes_the_same_parts(given: int, failures: int) -> None:
    """Memory runs out in the second batch, and suffices again afterwards."""
    count, left = 3 * given + 1, [0]

    def work(part: Sequence[int]) -> None:
        if left[0]:
            left[0] -= 1
            raise MemoryError

    def parts(size: BatchSize, first: int) -> list[list[int]]:
        batches = [range(start, min(start + size.whole, count)) for start in range(first, count, size.whole)]
        return [[*part] for batch in batches for part, _ in size.attempt(batch, work)]

    size = BatchSize(given, lambda line: None)
    assert parts(size, 0)[0] == [*range(given)]
    left[0] = failures
    found = parts(size, given)
    assert size.most < given == size.whole
    assert found == parts(BatchSize(size.most, lambda line: None, given), given)


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_an_item_that_never_fits_fails_alone(kind: type[Exception]) -> None:
    def work(part: Sequence[int]) -> int:
        if 2 in part:
            raise kind("too large")
        return len(part)

    found = list(BatchSize(4, lambda line: None).attempt(range(4), work))
    assert [tuple(part) for part, _ in found] == [(0, 1), (2,), (3,)]
    with pytest.raises(kind):
        found[1][1].get()
    assert found[2][1].get() == 1


def test_other_failures_are_raised() -> None:
    def work(part: Sequence[int]) -> None:
        raise ItemError("NaN")

    with pytest.raises(ItemError):
        list(BatchSize(4, lambda line: None).attempt(range(4), work))


def test_the_automatic_size_falls_with_the_photographs() -> None:
    sizes = [automatic(torch.device("cpu"), side * side) for side in (64, 320, 640, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
