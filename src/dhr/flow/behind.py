"""Writes behind: threads finish and write results while the caller computes the next ones."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from dhr.errors import OutputError
from dhr.flow.ahead import BUDGET, PATIENCE
from dhr.flow.threads import start

HANGING = 600.0
"""Most seconds in which no write ends; then the disk or network hangs. A write may hold the last step of a mask."""

_COUNT = 64  # writes that wait, or are in progress, at most


@dataclass(eq=False)
class Behind:
    """Does writes behind the computation, in a ``with`` block; they begin in the order in which they were put.

    The first exception of a write is raised by the next :meth:`put`, or at the end of the block; later writes are then
    left out. If the block itself fails, everything that was put before is written first, so finished work is not lost.
    Then Ctrl-C ends the wait at once, and so does a write that takes longer than ``patience``. If no write ends for
    ``hanging`` seconds, the block fails; the threads are left behind.
    """

    workers: int = 1
    """Threads. With one, a write begins when the last one has ended."""
    budget: int = BUDGET
    """Bytes that waiting writes may hold."""
    patience: float = PATIENCE
    """Seconds that one write may take after the block has failed."""
    hanging: float = HANGING
    """Seconds without the end of a write, after which the block fails."""
    _waiting: deque[tuple[Callable[[], None], int]] = field(default_factory=deque)
    _weight: int = 0
    """Weight of the writes that wait, or are in progress."""
    _count: int = 0
    """Their number."""
    _error: BaseException | None = None
    _closed: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> "Behind":
        for _ in range(self.workers):
            start(self._work, "dhr-behind")
        return self

    def put(self, write: Callable[[], None], weight: int = 0) -> None:
        """Have ``write`` called by a thread; wait while too many wait.

        Args:
            write: called once. It handles the failures that concern one photograph itself.
            weight: bytes that it holds. A write heavier than the budget waits until all others are done.

        Raises:
            BaseException: an earlier write failed.
            OutputError: no write ended for a long time.
        """
        with self._changed:
            while self._count and not self._error and not self._has_room(weight):
                self._wait()
            self._raise()
            self._waiting.append((write, weight))
            self._weight += weight
            self._count += 1
            self._changed.notify_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            try:
                while left := self._count:
                    if error is None:
                        self._wait()
                    elif not self._changed.wait(self.patience) and left == self._count:
                        break
            finally:
                self._closed = True
                self._waiting.clear()
                self._changed.notify_all()
            if error is None:
                self._raise()

    def _wait(self) -> None:
        """Wait for a change, with the lock."""
        left = self._count
        if not self._changed.wait(self.hanging) and left == self._count:
            raise OutputError(
                f"no file could be finished for {self.hanging:g} seconds; check the disk or network of the output "
                "folder, and start the same command again"
            )

    def _has_room(self, weight: int) -> bool:
        return self._count < _COUNT and self._weight + weight <= self.budget

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (job := self._next()) is not None:
            write, weight = job
            error: BaseException | None = None
            try:
                if self._error is None:
                    write()
            except BaseException as caught:  # the caller raises it
                error = caught
            del job, write  # a waiting thread keeps nothing alive
            with self._changed:
                self._error = self._error or error
                self._weight -= weight
                self._count -= 1
                self._changed.notify_all()

    def _next(self) -> tuple[Callable[[], None], int] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return None if self._closed else self._waiting.popleft()
