"""Threads: results in order, nothing lost, no deadlock, and life after a fork."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.ops.parallel import run_parallel, split

NET = 300  # seconds: only a deadlock takes as long

every_count = pytest.mark.parametrize("threads", [1, 2, 3])


@pytest.fixture
def use() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@every_count
@pytest.mark.parametrize("calls", [1, 2, 3, 10])
@pytest.mark.parametrize("slow", ["none", "first", "last", "others"])
def test_results_are_in_order(threads: int, calls: int, slow: str, use: Callable[[int], None]) -> None:
    use(threads)
    slow_ones = {"none": (), "first": (0,), "last": (calls - 1,), "others": range(1, calls)}[slow]
    done = []

    def work(index: int, offset: int) -> int:
        if index in slow_ones:
            time.sleep(0.003)
        done.append(index)
        return index + offset

    assert run_parallel(work, ((index, 100) for index in range(calls))) == list(range(100, 100 + calls))
    assert sorted(done) == list(range(calls))


@pytest.mark.parametrize("threads", [2, 3])
def test_calls_run_at_once_and_the_caller_takes_part(threads: int, use: Callable[[int], None]) -> None:
    use(threads)
    together = threading.Barrier(threads, timeout=NET)

    def work() -> int:
        together.wait()
        return threading.get_ident()

    found = run_parallel(work, [()] * threads)
    assert len(set(found)) == threads
    assert found[0] == threading.get_ident()


def test_one_thread_is_the_caller(use: Callable[[int], None]) -> None:
    use(1)
    assert set(run_parallel(threading.get_ident, [()] * 5)) == {threading.get_ident()}


@every_count
@pytest.mark.parametrize("bad", [0, 1, 5])
def test_an_error_reaches_the_caller(threads: int, bad: int, use: Callable[[int], None]) -> None:
    use(threads)

    def work(index: int) -> int:
        time.sleep(0.001)
        if index == bad:
            raise KeyError(index)
        return index

    with pytest.raises(KeyError, match=str(bad)):
        run_parallel(work, [(index,) for index in range(6)])
    assert run_parallel(lambda index: index, [(index,) for index in range(6)]) == list(range(6))


@every_count
def test_calls_within_calls_end(threads: int, use: Callable[[int], None]) -> None:
    use(threads)

    def outer(index: int) -> list[int]:
        return run_parallel(lambda other: 10 * index + other, [(other,) for other in range(4)])

    finished: list[list[list[int]]] = []
    thread = threading.Thread(
        target=lambda: finished.append(run_parallel(outer, [(index,) for index in range(4)])), daemon=True
    )
    thread.start()
    thread.join(NET)
    assert finished == [[[10 * index + other for other in range(4)] for index in range(4)]]


def test_several_threads_may_call_at_once(use: Callable[[int], None]) -> None:
    use(2)
    found: dict[int, list[int]] = {}

    def caller(number: int) -> None:
        for _ in range(50):
            found[number] = run_parallel(lambda index: number + index, [(index,) for index in range(5)])

    callers = [threading.Thread(target=caller, args=(100 * number,), daemon=True) for number in range(4)]
    for one in callers:
        one.start()
    for one in callers:
        one.join(NET)
    assert found == {100 * number: [100 * number + index for index in range(5)] for number in range(4)}


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 3000), st.sampled_from([1, 3, 100, 5000]), st.integers(1, 5))
def test_parts_cover_everything_once(count: int, weight: int, threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        parts = split(count, weight)
    finally:
        torch.set_num_threads(before)
    assert [index for start, stop in parts for index in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in parts]
    assert 1 <= len(parts) <= 4 * threads
    assert max(sizes) - min(sizes) <= 1
    if len(parts) > 1:
        assert min(sizes) >= 1
        assert count * weight >= 4096 * len(parts)
    if len(parts) > threads:
        assert count * weight >= 65536 * len(parts)
    if count * weight >= 4096 * threads and count >= threads:
        assert len(parts) >= threads


FORK = """
import multiprocessing, os, sys, threading
import torch
from dhr.ops.parallel import run_parallel

torch.set_num_threads(2)

def both_threads():
    together = threading.Barrier(2, timeout=300)
    return len(set(run_parallel(lambda: (together.wait(), threading.get_ident())[1], [(), ()])))

assert both_threads() == 2
child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(0 if both_threads() == 2 else 3))
child.start()
child.join(300)
if child.is_alive():
    child.kill()
assert child.exitcode == 0, child.exitcode
assert both_threads() == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """In a process of its own, whose threads are known."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=3 * NET)


def test_no_call_begins_after_an_error_of_the_first(use: Callable[[int], None]) -> None:
    use(2)
    begun: list[int] = []
    other, raised = threading.Event(), threading.Event()

    def work(index: int) -> None:
        begun.append(index)
        if index == 0:
            assert other.wait(NET)
            raise KeyError(index)
        other.set()
        assert raised.wait(NET)

    with pytest.raises(KeyError):
        run_parallel(work, [(index,) for index in range(20)])
    raised.set()
    together = threading.Barrier(2, timeout=NET)
    run_parallel(together.wait, [(), ()])  # the other thread is done with all that it was given before
    assert len(begun) == 2
