"""The networks of a run, for photographs that are open in the editor: refine, CAMs, clicks."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, UInt8

from dhr.errors import DhrError
from dhr.job.click import Click
from dhr.job.opened_run import OpenedRun
from dhr.review.answers import RefusedError
from dhr.review.kept import Kept

if TYPE_CHECKING:  # PyTorch and the networks are loaded when they are needed
    from dhr.job.mender import Mender, Prepared

_PHOTOGRAPHS = 3  # that are kept with all that networks computed of them


class Mending:
    """Builds the networks at the first call, and keeps the photographs that were open last.

    Args:
        run: the run.
        start: starts work in the thread of the networks.
    """

    def __init__(self, run: OpenedRun, start: Callable[[Callable[[], None]], None]) -> None:
        self._run, self._start = run, start
        self._prepared = Kept["Prepared"](_PHOTOGRAPHS, lambda _: 1)
        self._mender: Mender | None = None
        self._failure = ""
        self._lock = threading.Lock()
        self._next = ""

    @property
    def tools(self) -> dict[str, bool]:
        """The tools that the settings of the run allow."""
        return {"refine": True, "sam": self._run.config.boundary.kind == "sam"}

    def prepare(self, name: str) -> None:
        """Let the networks look at a photograph in their thread; an earlier one that has not begun is left out."""
        self._next = name
        self._start(partial(self._prepare, name))

    def refine(self, name: str, tags: Sequence[int], held: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """Make the mask again with what was drawn; see :meth:`dhr.job.mender.Mender.refine`."""
        return self._opened().refine(self._of(name), tuple(tags), held)

    def cam(self, name: str, tag: int) -> UInt8[np.ndarray, "u v"] | None:
        """Return the CAM of a class, 0..255; None if the networks made none."""
        return self._opened().cams(self._of(name)).get(tag)

    def click(self, name: str, click: Click) -> Bool[np.ndarray, "h w"]:
        """Return the thing that points and a box show; see :meth:`dhr.job.mender.Mender.click`."""
        return self._opened().click(self._of(name), click)

    def _prepare(self, name: str) -> None:
        if name == self._next:
            try:
                self._of(name)
            except (DhrError, RefusedError):  # the call that needs the photograph tells it
                return

    def _of(self, name: str) -> "Prepared":
        mender = self._opened()
        return self._prepared.get(name, lambda: mender.prepare(name))

    def _opened(self) -> "Mender":
        with self._lock:
            if self._failure:
                raise RefusedError(409, self._failure)
            if self._mender is None:
                from dhr.job.mender import Mender

                try:
                    self._mender = Mender.open(self._run)
                except DhrError as failure:
                    self._failure = str(failure)
                    raise
            return self._mender
