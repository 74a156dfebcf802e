"""Standard output and error: they may be closed, full or gone while the work goes on."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_NOBODY_READS = (errno.EPIPE, errno.EIO, errno.ECONNRESET, errno.EINVAL if os.name == "nt" else errno.EPIPE)
"""A pipe whose reader ended (`dhr run | head -1`), a terminal that was closed."""


class Stream:
    """Stands before a standard stream. If printing fails, nothing more is printed, and the work goes on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: OSError | None = None
        """Why printing failed; None if only the reader is gone."""

    def write(self, text: str) -> int:
        """Print ``text``; characters that the stream's encoding lacks are escaped."""
        try:
            self._try(lambda: self._stream.write(text))
        except UnicodeEncodeError as error:
            plain = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            self._try(lambda: self._stream.write(plain))
        return len(text)

    def flush(self) -> None:
        """Hand on what was printed."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                self.failure = error
            # Text that the stream still holds would fail again when the process ends.
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def standard_streams() -> Iterator[Stream]:
    """Put a :class:`Stream` before both, and yield the one of standard output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by the caller: the next file that is opened would take its place
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    # Python has None where a stream was closed.
    out, err = (Stream(stream or open(os.devnull, "w", encoding="utf-8")) for stream in before)  # noqa: PTH123, SIM115
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
