"""Locks of folders: one process, and one thread of it, at a time works in a folder of dhr.

A lock is a file. The system lets go of it when its process ends, however that happens. POSIX ties it to the process and
not to the open file: opening the file again in the same process would succeed, and closing that one would let go of the
first lock. So the locks of this process are remembered here as well.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from weakref import WeakValueDictionary

from dhr.errors import OutputError
from dhr.file_checks import cannot_write, refuse_irregular, refuse_special_target
from dhr.files import inside

_HELD: WeakValueDictionary[tuple[int, int], IO[bytes]] = WeakValueDictionary()
_GUARD = threading.Lock()
_PATIENCE = 30.0  # seconds; a save takes a fraction of one
_PAUSE = 0.005


def hold(root: Path, name: str) -> IO[bytes]:
    """Hold a folder by its lock file ``name``, until the returned file is closed.

    Raises OutputError if another process or thread holds it, the lock is not a regular file, or the folder refuses.
    """
    file = try_hold(root, name)
    if file is None:
        raise OutputError(f"another process is writing to {root}; wait for it, or choose another --out")
    return file


def try_hold(root: Path, name: str) -> IO[bytes] | None:
    """Hold a folder as :func:`hold` does; return None if another process or thread holds it."""
    path = inside(root, name, may_be_link=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with _GUARD:
        try:
            refuse_special_target(path)
            if _is_held(path):
                return None
            file = os.fdopen(os.open(path, flags, 0o666), "r+b")
            refuse_irregular(path, os.fstat(file.fileno()), None)
        except OSError as error:
            raise cannot_write(path, error) from error
        if not _locked(file):
            file.close()
            return None
        status = os.fstat(file.fileno())
        _HELD[status.st_dev, status.st_ino] = file
        return file


@contextmanager
def exclusive(root: Path, name: str, patience: float = _PATIENCE) -> Iterator[None]:
    """Wait for the lock file ``name``, and hold it for the block.

    Raises OutputError if another process or thread holds it for longer than ``patience`` seconds, or as :func:`hold`.
    """
    end = time.monotonic() + patience
    while (file := try_hold(root, name)) is None:
        if time.monotonic() > end:
            raise OutputError(f"another process holds {root / name}; end it, and try again")
        time.sleep(_PAUSE)
    with file:
        yield


def _is_held(path: Path) -> bool:
    """Tell whether this process holds the lock; it must not be opened then."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    known = _HELD.get((status.st_dev, status.st_ino))
    return known is not None and not known.closed


def _locked(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: two processes in one folder are not caught there
        return True
    try:
        # Not flock: processes that load photographs would inherit it, and hold it for seconds after a SIGKILL.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
