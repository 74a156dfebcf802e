"""A limit to the disk space of a store: the least recently used entries are deleted, except those being read."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dhr.files import TEMPORARY_SUFFIX, open_regular

ENTRY_SUFFIX = ".safetensors"
_FRESH = 60.0  # seconds before a use is noted again
_ABANDONED = 3600.0  # seconds after which a temporary file counts as abandoned
_SOURCE, _SHARD = re.compile("[0-9a-f]{16}"), re.compile("[0-9a-f]{2}")
_ENTRY = re.compile(r"[0-9a-f]{32}\.safetensors")
_SPARE = 0.1  # share of the limit that is freed at once, so that entries are counted seldom


class Used(NamedTuple):
    """An entry on the disk."""

    when: float
    """When it was last read or written, in seconds."""
    size: int
    path: Path


class DiskLimit:
    """Keeps the entries below ``root`` within ``limit`` bytes; those of other processes are counted now and then.

    Each of several writers may exceed the limit by a tenth before it counts the entries of the others.
    """

    def __init__(self, root: Path, limit: int | None) -> None:
        self.root, self.limit = root, limit
        self.removed = 0
        """Entries deleted so far."""
        self._total: int | None = None
        self._since = 0

    def added(self, size: int) -> None:
        """Note a written entry of ``size`` bytes, and delete old entries if the limit is exceeded."""
        if self.limit is None:
            return
        self._since += size
        if self._total is None or self._total + self._since > self.limit or self._since > _SPARE * self.limit:
            self.shrink()

    def shrink(self) -> int:
        """Count all entries, and delete the oldest ones above the limit; return how many."""
        entries = sorted(entries_below(self.root))
        total, gone = sum(entry.size for entry in entries), 0
        if self.limit is not None and total > self.limit:
            for entry in entries:
                if total <= (1 - _SPARE) * self.limit:
                    break
                if remove(entry.path):
                    total, gone = total - entry.size, gone + 1
        self._total, self._since = total, 0
        self.removed += gone
        return gone

    def taken(self) -> tuple[int, int]:
        """Return the number and bytes of all entries."""
        sizes = [entry.size for entry in entries_below(self.root)]
        return len(sizes), sum(sizes)


def entries_below(root: Path) -> Iterator[Used]:
    """Yield all entries of a store, in any order; temporary files of dead writers are deleted.

    Other files in the folder are neither counted nor deleted.
    """
    now = time.time()
    for folder in (shard for source in _folders(root, _SOURCE) for shard in _folders(source, _SHARD)):
        try:
            files = list(os.scandir(folder))
        except OSError:
            continue
        for file in files:
            try:
                status = file.stat(follow_symlinks=False)
                if _ENTRY.fullmatch(file.name):
                    yield Used(status.st_mtime, status.st_size, Path(file.path))
                elif file.name.endswith(TEMPORARY_SUFFIX) and now - status.st_mtime > _ABANDONED:
                    Path(file.path).unlink(missing_ok=True)
            except OSError:  # another process was faster
                continue


def note_use(path: Path) -> None:
    """Note that an entry was read, unless this was noted recently or the store is read-only."""
    try:
        if time.time() - path.stat().st_mtime > _FRESH:
            os.utime(path)
    except OSError:
        return


def remove(path: Path) -> bool:
    """Delete an entry, unless a process is reading it; return whether it is gone."""
    try:
        with open_regular(path) as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:
                pass
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _folders(root: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        folders = [one for one in os.scandir(root) if pattern.fullmatch(one.name)]
        return [Path(one.path) for one in folders if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
