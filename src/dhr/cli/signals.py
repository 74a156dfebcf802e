"""Signals that ask the process to end: work stops as it does at Ctrl-C, and nothing that was finished is lost."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP")


class Ended(BaseException):
    """A signal asked the process to end; like KeyboardInterrupt, it is not caught by handlers of Exception."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.code = 128 + number
        """Exit code, as shells have it."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let signals that would end the process raise :class:`Ended`; those that are ignored (nohup) stay ignored."""
    if threading.current_thread() is not threading.main_thread():  # only there signals can be caught
        yield
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    caught = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    ours = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != ours:  # a process that loads photographs
            os._exit(128 + number)
        raise Ended(number)

    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)
