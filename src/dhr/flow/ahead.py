"""Reads ahead: threads load the next items while the caller works on the present one.

Threads are enough: decoders and PyTorch let other threads run while they work. Memory is bounded by the weight of the
loaded items, not by their number alone, so one huge photograph among small ones is loaded by itself.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, tee
from typing import Generic, TypeVar

from dhr.errors import ItemError
from dhr.flow.loaded import Loaded
from dhr.flow.threads import start

T = TypeVar("T")
R = TypeVar("R")

BUDGET = 256 * 2**20
"""Bytes of loaded items that wait for the caller, or that it works on."""
PATIENCE = 120.0
"""Most seconds for the load of one item. Longer loads mean that a disk or network hangs."""

_COUNT = 64  # items that are loaded, or being loaded, at most
_GOODBYE = 2.0  # seconds that leaving the loop waits for loads in progress, so that few are cut off


def ahead(
    items: Iterable[T],
    load: Callable[[T], R],
    *,
    weigh: Callable[[T], int] | None = None,
    budget: int = BUDGET,
    workers: int | None = None,
    patience: float | None = None,
) -> Iterator[tuple[T, Loaded[R]]]:
    """Yield items in their order, each with the result of ``load``, which threads compute ahead.

    An item that fails, or takes too long, fails when its result is asked for; the others go on. The results do not
    depend on timing. A loop may be left at any time: loads that hang are left behind.

    Args:
        items: taken one by one, as the budget allows.
        load: called in a thread.
        weigh: bytes that an item takes when it is loaded; called in a thread before ``load``. An item heavier than
            ``budget`` waits until it is the only one.
        budget: bytes of loaded items.
        workers: threads; by default as many as there are cores, at most 8.
        patience: seconds for one item, after which ItemError stands in for its result; by default :data:`PATIENCE`.
    """
    for ((item, loaded),) in ahead_in_batches(
        ((item,) for item in items), load, weigh=weigh, budget=budget, workers=workers, patience=patience
    ):
        yield item, loaded


def ahead_in_batches(
    batches: Iterable[Sequence[T]],
    load: Callable[[T], R],
    *,
    weigh: Callable[[T], int] | None = None,
    budget: int = BUDGET,
    workers: int | None = None,
    patience: float | None = None,
) -> Iterator[list[tuple[T, Loaded[R]]]]:
    """Yield batches in their order, each item with the result of ``load``; see :func:`ahead`.

    The weight of a batch counts until the next batch is asked for. A batch heavier than ``budget`` is loaded one item
    after another.
    """
    reader = _Reader(load, weigh, budget, PATIENCE if patience is None else patience, workers or min(cores(), 8))
    in_front, present = tee(batches)
    items = chain.from_iterable(in_front)
    try:
        for batch in present:
            yield [reader.take(items) for _ in batch]
            reader.release()
    finally:
        reader.close()


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(eq=False)
class _Job(Generic[T, R]):
    item: T
    weight: int = 0
    admitted: bool = False
    """Whether its weight counts towards the budget."""
    since: float | None = None
    """When its work began; None before, and while it waits to be admitted."""
    loaded: Loaded[R] | None = None
    """Its result; never replaced."""


@dataclass(eq=False)
class _Reader(Generic[T, R]):
    """Jobs in the order of the items, and the threads that do them."""

    load: Callable[[T], R]
    weigh: Callable[[T], int] | None
    budget: int
    patience: float
    workers: int
    ready: deque[_Job[T, R]] = field(default_factory=deque)
    """Jobs that the caller has not taken, in order."""
    begun: int = 0
    """The number of jobs in ``ready``, from the left, that a thread has begun."""
    held: list[_Job[T, R]] = field(default_factory=list)
    """Jobs that the caller works on."""
    waiting: bool = False
    """Whether the caller waits for the first job."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    """Guards all of this. Its lock is reentrant: Ctrl-C may come while the caller holds it."""
    threads: dict[threading.Thread, _Job[T, R] | None] = field(default_factory=dict)
    """The working threads, with what each does; a thread that hangs is taken out."""
    closed: bool = False

    def take(self, items: Iterator[T]) -> tuple[T, Loaded[R]]:
        """Return the next item with its result; wait for it."""
        with self.changed:
            self._fill(items)
            job = self.ready[0]
            self.waiting = True
            self.changed.notify_all()
            while job.loaded is None:
                left = None if job.since is None else job.since + self.patience - time.monotonic()
                if left is not None and left <= 0:
                    self._abandon(job)
                    break
                self.changed.wait(self.patience if left is None else left)
            self.waiting = False
            self.ready.popleft()
            self.begun -= 1
            self.held.append(job)
            assert job.loaded is not None
            return job.item, job.loaded

    def release(self) -> None:
        """Free the weight of the taken items."""
        with self.changed:
            self.held.clear()
            self.changed.notify_all()

    def close(self) -> None:
        """End the threads; loads in progress get a short time."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
            threads = [*self.threads]
        end = time.monotonic() + _GOODBYE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _fill(self, items: Iterator[T]) -> None:
        while len(self.ready) < _COUNT:
            for item in items:
                self.ready.append(_Job(item))
                break
            else:
                break
        while len(self.threads) < min(self.workers, len(self.ready)):
            self._hire()

    def _hire(self) -> None:
        self.threads[start(self._work, "dhr-ahead")] = None

    def _abandon(self, job: _Job[T, R]) -> None:
        """Give up on a job that takes too long, and on its thread."""
        waited = f"{self.patience:g} seconds"
        reason = f"reading it took longer than {waited}; check the disk or network that it is on, and start again"
        job.loaded = Loaded(_error=ItemError(reason))
        for thread in [thread for thread, doing in self.threads.items() if doing is job]:
            del self.threads[thread]
            self._hire()

    def _work(self) -> None:
        me = threading.current_thread()
        while (job := self._next(me)) is not None:
            loaded = self._done(job)
            with self.changed:
                if job.loaded is None:
                    job.loaded = loaded
                self.changed.notify_all()
                if me not in self.threads:
                    return
            del job, loaded  # a waiting thread keeps nothing alive

    def _next(self, me: threading.Thread) -> _Job[T, R] | None:
        with self.changed:
            self.threads[me] = None
            while not self.closed and self.begun == len(self.ready):
                self.changed.wait()
            if self.closed:
                return None
            job = self.threads[me] = self.ready[self.begun]
            self.begun += 1
            job.since = time.monotonic()
            return job

    def _done(self, job: _Job[T, R]) -> Loaded[R]:
        try:
            weight = 0 if self.weigh is None else self.weigh(job.item)
            if not self._admitted(job, weight):
                return Loaded(_error=ItemError("it is no longer needed"))
            return Loaded(self.load(job.item))
        except BaseException as error:  # the caller raises it when it asks for the result
            return Loaded(_error=error)

    def _admitted(self, job: _Job[T, R], weight: int) -> bool:
        """Wait until an item fits into the budget; return False if its result is no longer needed."""
        with self.changed:
            job.since = None
            while not (self.closed or job.loaded or self._has_room(job, weight)):
                self.changed.wait()
            job.weight, job.admitted, job.since = weight, True, time.monotonic()
            self.changed.notify_all()
            return not (self.closed or job.loaded)

    def _has_room(self, job: _Job[T, R], weight: int) -> bool:
        """Return whether an item may be loaded: in order, within the budget, and always if the caller waits for it."""
        if job is self.ready[0] and (self.waiting or not self.held):
            return True
        before = []
        for one in self.ready:
            if one is job:
                break
            if not one.admitted and one.loaded is None:
                return False
            before.append(one)
        return sum(one.weight for one in (*self.held, *before)) + weight <= self.budget
