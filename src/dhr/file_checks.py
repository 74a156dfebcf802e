"""Refuse files that are not regular, with reasons in words."""

import errno
import os
import stat
from pathlib import Path

from dhr.errors import OutputError, PlaceError

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
}


_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
"""A file stands where a folder is needed, or the other way round."""


class IrregularFileError(OSError):
    """A pipe, device, socket or folder where a regular file is needed, or a file larger than its reader's limit."""


def refuse_irregular(path: Path, status: os.stat_result, most: int | None) -> None:
    """Refuse to read a file that is not regular, or has over ``most`` bytes."""
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
        raise IrregularFileError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
    if most is not None and status.st_size > most:
        size = f"{status.st_size / 1e6:.0f} MB, over the limit of {most / 1e6:.0f} MB"
        raise IrregularFileError(errno.EFBIG, f"the file has {size}", str(path))


def refuse_special_target(path: Path) -> None:
    """Refuse to replace anything but a regular file."""
    if "\0" in str(path):
        raise IrregularFileError(errno.EINVAL, "a file name cannot hold NUL", str(path))
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise IrregularFileError(errno.EEXIST, f"{kind} has this name, and is not replaced", str(path))


def is_link(path: Path) -> bool:
    """Tell whether a path is a link."""
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except OSError:  # missing, or an impossible name, which the writer reports
        return False


def cannot_write(path: Path, error: OSError) -> OutputError:
    """Make the error of a failed write."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENAMETOOLONG:
        return PlaceError(f"cannot write {path}: the file name is too long; rename the photograph")
    if isinstance(error, IrregularFileError) or error.errno in _TAKEN:
        return PlaceError(f"cannot write {path}: {reason}; remove it, or choose another place")
    return OutputError(f"cannot write {path}: {reason}; free the disk or choose another folder")
