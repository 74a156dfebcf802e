"""Makes operations on files fail in a process, as a full, broken or read-only disk would."""

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Faults:
    """Counts operations on files below a folder, and lets one of them fail, or all from one on.

    Args:
        trace: an open file that gets a line for each operation.
        root: the folder.
        kind: the name of the error, or ``short``: a write that takes a part of the bytes and says so.
        at: the number of the operation, from 1; 0 for never.
        lasting: whether all later ones fail, too.
        reads: whether reading counts.
    """

    def __init__(self, trace: int, root: str, kind: str, at: int, lasting: bool, reads: bool) -> None:
        self._trace, self._root, self._kind, self._at = trace, f"{root}/", kind, at
        self._lasting, self._reads, self._count = lasting, reads, 0

    def meets(self, what: str, path: Any) -> bool:
        """Count an operation; whether it is to fail."""
        text = os.path.normpath(Path.cwd() / os.fsdecode(path)) if isinstance(path, str | bytes | Path) else ""
        if not text.startswith(self._root):
            return False
        self._count += 1
        fails = self._count == self._at or (self._lasting and 0 < self._at < self._count)
        os.write(self._trace, f"{'failed' if fails else what} {text}\n".encode())
        return fails

    def pass_by(self, what: str, path: Any) -> None:
        """Count an operation, and raise if it is to fail; a short write is none."""
        if self.meets(what, path) and self._kind != "short":
            raise self.error(path)

    def error(self, path: Any = None) -> OSError:
        number = getattr(errno, self._kind)
        return OSError(number, os.strerror(number), *([] if path is None else [os.fsdecode(path)]))

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Let files fail that are opened, renamed or made, by whichever library."""
        if event == "open" and not isinstance(args[0], int):
            writes = bool(args[2] & _CHANGES)
            if (writes or self._reads) and not str(args[0]).endswith(".py"):
                self.pass_by("writing" if writes else "reading", args[0])
        elif event == "os.rename":
            self.pass_by("renaming", args[1])
        elif event == "os.mkdir" and not os.path.isdir(args[0]):  # noqa: PTH112  called for every operation
            self.pass_by("making a folder", args[0])

    def fsync(self, file: Any) -> None:
        """In the place of ``os.fsync``."""
        handle = file if isinstance(file, int) else file.fileno()
        self.pass_by("flushing", os.readlink(f"/proc/self/fd/{handle}"))  # noqa: PTH115
        self._fsync(file)

    def fdopen(self, handle: int, *args: Any, **more: Any) -> Any:
        """In the place of ``os.fdopen``."""
        mode = args[0] if args else more.get("mode", "r")
        return _Failing(handle, self) if mode == "wb" else self._fdopen(handle, *args, **more)

    def install(self) -> None:
        """Begin."""
        self._fsync, self._fdopen = os.fsync, os.fdopen
        os.fsync, os.fdopen = self.fsync, self.fdopen  # type: ignore[assignment]
        sys.addaudithook(self.audit)


class _Failing(io.BufferedWriter):
    """A file whose writes can fail."""

    def __init__(self, handle: int, faults: Faults) -> None:
        super().__init__(_Raw(handle, faults))


class _Raw(io.FileIO):
    def __init__(self, handle: int, faults: Faults) -> None:
        self._faults, self._path = faults, os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115
        super().__init__(handle, "wb")

    def write(self, data: Any) -> int:
        content = memoryview(data).cast("B")
        if not self._faults.meets("a write to", self._path):
            return super().write(content)
        written = super().write(content[: (len(content) + 1) // 2])  # a disk takes what fits
        if self._faults._kind == "short":
            return written
        raise self._faults.error()
