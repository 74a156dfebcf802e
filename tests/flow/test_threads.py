"""Threads beside the computation take one core each."""

import threading

import torch

from dhr.flow.ahead import ahead
from dhr.flow.behind import Behind
from dhr.flow.threads import start


def test_a_thread_takes_one_core_and_the_caller_keeps_its_own() -> None:
    before, found = torch.get_num_threads(), []
    start(lambda: found.append((threading.current_thread().name, torch.get_num_threads())), "beside").join()
    assert found == [("beside", 1)]
    assert torch.get_num_threads() == before


def test_operations_in_a_thread_keep_to_one_core() -> None:
    """The first operation on many numbers must not give the thread the number of cores."""
    found = []

    def work() -> None:
        torch.rand(1 << 20).sum()
        found.append(torch.get_num_threads())

    start(work, "beside").join()
    assert found == [1]


def test_readers_and_writers_take_one_core() -> None:
    written: list[int] = []
    read = [loaded.get() for _, loaded in ahead(range(4), lambda _: torch.get_num_threads())]
    with Behind(workers=2) as behind:
        for _ in range(4):
            behind.put(lambda: written.append(torch.get_num_threads()))
    assert read == [1] * 4
    assert written == [1] * 4
