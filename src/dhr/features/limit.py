"""A limit to what a store takes on the disk: what was not used for longest goes first, never what is being read."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dhr.files import TEMPORARY_SUFFIX, open_regular

ENTRY_SUFFIX = ".safetensors"
_FRESH = 60.0  # seconds for which a use is not noted again
_ABANDONED = 3600.0  # seconds after which a file that was never finished has no writer
_SOURCE, _SHARD = re.compile("[0-9a-f]{16}"), re.compile("[0-9a-f]{2}")
_ENTRY = re.compile(r"[0-9a-f]{32}\.safetensors")
_SPARE = 0.1  # share of the limit that is freed at once, so that not every new entry has to count all the others


class Used(NamedTuple):
    """An entry on the disk."""

    when: float
    """When it was last read or written, in seconds."""
    size: int
    path: Path


class DiskLimit:
    """Keeps the entries below ``root`` within ``limit`` bytes, those of other processes counted in now and then.

    Each of several writers may go beyond the limit by a tenth before it notices what the others wrote.
    """

    def __init__(self, root: Path, limit: int | None) -> None:
        self.root, self.limit = root, limit
        self.removed = 0
        """Entries that had to go so far."""
        self._total: int | None = None
        self._since = 0

    def added(self, size: int) -> None:
        """Make room, if need be, after an entry of so many bytes was written."""
        if self.limit is None:
            return
        self._since += size
        if self._total is None or self._total + self._since > self.limit or self._since > _SPARE * self.limit:
            self.shrink()

    def shrink(self) -> int:
        """Count everything, and remove what is too much; how many entries went."""
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
        """Number and bytes of the entries that are there."""
        sizes = [entry.size for entry in entries_below(self.root)]
        return len(sizes), sum(sizes)


def entries_below(root: Path) -> Iterator[Used]:
    """All entries of a store, in any order; what dead writers have left is removed on the way.

    Whatever else somebody keeps in the folder is neither counted nor removed.
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
    """Remember that an entry was read, unless that is known already or the store cannot be written."""
    try:
        if time.time() - path.stat().st_mtime > _FRESH:
            os.utime(path)
    except OSError:
        return


def remove(path: Path) -> bool:
    """Delete an entry, unless somebody reads it right now; whether it is gone."""
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
