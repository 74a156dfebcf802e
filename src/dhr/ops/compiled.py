"""Kernels that numba compiles at first use and keeps on disk."""

import inspect
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from numba import njit
from numba.core import event

_log = logging.getLogger(__name__)


def kernel(function: Callable[..., None]) -> Any:
    """Compile ``function`` when it is called first, so that it runs without the interpreter's lock.

    Kernels work on a range of their loop, for :func:`~dhr.ops.parallel.run_parallel`; what they compute must not depend
    on how the loop is shared.
    """
    _announce()
    # Under pytest, jaxtyping's check of types has wrapped the function, and numba cannot compile the wrapper.
    return njit(nogil=True, cache=True, fastmath=True, error_model="numpy")(inspect.unwrap(function))


class _Announcer(event.Listener):
    """Logs once that kernels are compiled; for numba, loading them from disk is not a compilation."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        if not self.said and event.data["dispatcher"].py_func.__module__.startswith("dhr."):
            self.said = True
            _log.warning("compiling kernels for this machine; this takes some seconds, once, and is kept on disk")

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


@cache
def _announce() -> None:
    event.register("numba:compile", _Announcer())  # type: ignore[no-untyped-call]
