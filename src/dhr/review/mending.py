"""The networks of a run, for photographs that are open in the editor: refine, CAMs, clicks."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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

FREE = 254
"""Pixels of a held map on which nothing was drawn."""
_PHOTOGRAPHS = 3  # that are kept with all that networks computed of them
_Files = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class _Opened:
    """The networks, as some files of the run made them."""

    files: _Files
    mender: "Mender"


class Mending:
    """Builds the networks at the first call, and again after a run or an update has changed the files that they need.

    It keeps the photographs that were open last.

    Args:
        run: the run.
        start: starts work in the thread of the networks.
    """

    def __init__(self, run: OpenedRun, start: Callable[[Callable[[], None]], None]) -> None:
        self._run, self._start = run, start
        self._prepared = Kept["Prepared"](_PHOTOGRAPHS, lambda _: 1)
        self._opened: _Opened | None = None
        self._failed: tuple[_Files, str] | None = None
        self._lock = threading.Lock()
        self._next = ""

    @property
    def tools(self) -> dict[str, bool]:
        """The tools that the settings of the run allow; with 255 classes a held map has no number for free pixels."""
        free = len(self._run.data.classes.names) <= FREE
        return {"refine": free, "sam": self._run.config.boundary.kind == "sam"}

    def prepare(self, name: str) -> None:
        """Let the networks look at a photograph in their thread; an earlier one that has not begun is left out."""
        self._next = name
        self._start(partial(self._prepare, name))

    def refine(self, name: str, tags: Sequence[int], held: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """Make the mask again with what was drawn; see :meth:`dhr.job.mender.Mender.refine`."""
        opened = self._open()
        return opened.mender.refine(self._of(opened, name), tuple(tags), held)

    def cam(self, name: str, tag: int) -> UInt8[np.ndarray, "u v"] | None:
        """Return the CAM of a class, 0..255; None if the networks made none."""
        opened = self._open()
        return opened.mender.cams(self._of(opened, name)).get(tag)

    def click(self, name: str, click: Click) -> Bool[np.ndarray, "h w"]:
        """Return the thing that points and a box show; see :meth:`dhr.job.mender.Mender.click`."""
        opened = self._open()
        return opened.mender.click(self._of(opened, name), click)

    def _prepare(self, name: str) -> None:
        if name == self._next:
            try:
                self._of(self._open(), name)
            except (DhrError, RefusedError):  # the call that needs the photograph tells it
                return

    def _of(self, opened: _Opened, name: str) -> "Prepared":
        return self._prepared.get((opened.files, name), lambda: opened.mender.prepare(name))

    def _open(self) -> _Opened:
        """Return the networks; while a run or an update works, those from before it."""
        with self._lock:
            files = self._files()
            if self._opened is not None and (self._opened.files == files or self._is_at_work()):
                return self._opened
            if self._failed is not None and self._failed[0] == files:
                raise RefusedError(409, self._failed[1])
            from dhr.job.mender import Mender

            try:
                self._opened = None  # two sets of networks may be too large
                self._opened = _Opened(files, Mender.open(self._present()))
            except (DhrError, RefusedError) as failure:
                self._failed = (files, str(failure))
                raise
            return self._opened

    def _files(self) -> _Files:
        """Return what tells the files apart on which masks depend: name, time and size of each."""
        found = [(path.name, path.stat()) for path in sorted(self._run.folder.root.glob("*.safetensors"))]
        return tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)

    def _is_at_work(self) -> bool:
        record = self._run.folder.read()
        return record is not None and record.status == "running"

    def _present(self) -> OpenedRun:
        """Return the run with its present record.

        Raises:
            RefusedError: its settings were changed.
        """
        record = self._run.folder.read()
        if record is None or record.identity.settings != self._run.record.identity.settings:
            raise RefusedError(409, "the settings of this run changed; end `dhr review`, and start it again")
        return replace(self._run, record=record)
