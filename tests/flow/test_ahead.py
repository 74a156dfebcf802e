"""Reading ahead: order, memory, failures, and loops that are left."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.errors import ItemError
from dhr.flow.ahead import ahead, ahead_in_batches
from dhr.flow.loaded import Loaded


class Account:
    """Counts the bytes that are loaded, or being loaded, and that nobody has let go."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held = 0
        self.peak = 0

    def load(self, size: int) -> int:
        with self.lock:
            self.held += size
            self.peak = max(self.peak, self.held)
        return size

    def drop(self, size: int) -> None:
        with self.lock:
            self.held -= size


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 4), st.integers(1, 100))
def test_items_come_in_their_order_within_the_budget(sizes: list[int], workers: int, budget: int) -> None:
    account, found = Account(), []
    for size, loaded in ahead(sizes, account.load, weigh=lambda size: size, budget=budget, workers=workers):
        found.append(loaded.get())
        assert found[-1] == size
        account.drop(size)
    assert found == sizes
    assert account.peak <= max([budget, *sizes])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=5), max_size=20), st.integers(1, 60))
def test_batches_come_whole_and_hold_one_batch_more_than_the_budget_at_most(
    batches: list[list[int]], budget: int
) -> None:
    account, found = Account(), []
    for batch in ahead_in_batches(batches, account.load, weigh=lambda size: size, budget=budget, workers=3):
        found.append([loaded.get() for _, loaded in batch])
        account.drop(sum(found[-1]))
    assert found == batches
    assert account.peak <= max([budget, *map(sum, batches)])


def test_many_light_items_are_bounded_by_their_number() -> None:
    begun = []
    for item, _ in ahead(range(1000), begun.append, workers=2):
        assert len(begun) <= item + 70


def test_the_failure_of_an_item_is_its_own() -> None:
    def load(item: int) -> int:
        if item == 3:
            raise ItemError("it is truncated")
        if item == 5:
            raise MemoryError
        return item

    results = dict(ahead(range(8), load, workers=2))
    with pytest.raises(ItemError, match="truncated"):
        results[3].get()
    with pytest.raises(MemoryError):
        results[5].get()
    assert [results[item].get() for item in (0, 1, 2, 4, 6, 7)] == [0, 1, 2, 4, 6, 7]


def test_an_item_that_cannot_be_weighed_fails_alone() -> None:
    def weigh(item: int) -> int:
        if item == 2:
            raise ItemError("its header is damaged")
        return 10

    results = dict(ahead(range(6), lambda item: item, weigh=weigh, budget=10, workers=3))
    with pytest.raises(ItemError, match="header"):
        results[2].get()
    assert [results[item].get() for item in (0, 1, 3, 4, 5)] == [0, 1, 3, 4, 5]


def test_loads_that_hang_are_named_and_the_others_go_on() -> None:
    never = threading.Event()

    def load(item: int) -> int:
        if item in (1, 2, 3, 9):  # more than there are threads
            never.wait()
        return item

    results = dict(ahead(range(12), load, workers=2, patience=0.05))
    for item in (1, 2, 3, 9):
        with pytest.raises(ItemError, match=r"longer than 0.05 seconds; check the disk"):
            results[item].get()
    assert [results[item].get() for item in (0, 4, 5, 6, 7, 8, 10, 11)] == [0, 4, 5, 6, 7, 8, 10, 11]
    never.set()


def test_waiting_for_room_does_not_count_as_hanging() -> None:
    def slow(item: int) -> int:
        return item

    for item, loaded in ahead(range(4), slow, weigh=lambda item: 10, budget=10, workers=4, patience=0.05):
        threading.Event().wait(0.1)  # the others wait for room for longer than the patience
        assert loaded.get() == item


def test_a_loop_that_is_left_early_ends_its_threads_and_loads_no_more() -> None:
    begun: list[int] = []

    def run() -> None:
        for item, _ in ahead(range(1000), begun.append, weigh=lambda item: 1, budget=4, workers=3):
            if item == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(begun) <= 12
    assert not [thread for thread in threading.enumerate() if thread.name == "dhr-ahead"]


def test_a_loop_that_is_left_does_not_wait_for_a_load_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dhr.flow.ahead._GOODBYE", 0.05)
    never = threading.Event()
    stream = ahead(range(3), lambda item: never.wait() if item else item, workers=2)
    assert next(stream)[0] == 0
    stream.close()  # type: ignore[attr-defined]
    never.set()


def test_items_that_cannot_be_listed_raise_their_error() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the listing broke off")

    with pytest.raises(OSError, match="broke off"):
        list(ahead(items(), lambda item: item))


def test_a_result_may_be_none() -> None:
    assert Loaded[None](None).get() is None
