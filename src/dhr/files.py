"""Files: what is read is a regular file of bounded size; what is written is whole; what is not ours stays.

Every reader of files from outside opens them with :func:`open_regular`. Every writer goes through :func:`write_atomic`
(files in a folder of ours) or :func:`write_output` (a file that the user named), every deletion through
:func:`remove`, :func:`remove_tree` or :func:`remove_temporaries`.
"""

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from dhr.errors import OutputError, PlaceError

TEMPORARY_SUFFIX = ".dhr-tmp"

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


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file for reading; links to files are followed.

    A pipe or device would make its reader wait, or read, without end, so it is refused before it is opened.

    Args:
        path: the file.
        most: largest size, bytes.

    Raises:
        OSError: there is no such file, it cannot be opened, is no regular file, or is too large; ``strerror`` says why
            in words.
    """
    _refuse_irregular(path, path.stat(), most)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _refuse_irregular(path, os.fstat(handle), most)  # it may have been exchanged in between
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as :func:`open_regular`.
    """
    with open_regular(path, most) as file:
        return file.read() if most is None else file.read(most + 1)


def inside(root: Path, relative: str, *, may_be_link: bool = False) -> Path:
    """The path ``root/relative``, which is certain to lie below ``root``.

    Folders of ours may come from somebody else. A link in them could lead any write or deletion elsewhere.

    Args:
        root: a folder, which may itself be a link.
        relative: POSIX path below it; it need not exist.
        may_be_link: whether the last part may be a link (it is then replaced or deleted itself, never its target).

    Raises:
        OutputError: the path leads out of ``root``, or goes through a link.
    """
    parts = PurePosixPath(relative.replace("\\", "/")).parts if os.name == "nt" else PurePosixPath(relative).parts
    if not parts or ".." in parts or PurePosixPath(relative).is_absolute() or "\0" in relative:
        raise OutputError(f"expected a path inside {root}, got {relative!r}; the folder is damaged, choose another")
    path = root
    for number, part in enumerate(parts, start=1):
        path = path / part
        if path.is_symlink() and not (may_be_link and number == len(parts)):
            raise OutputError(f"{path} is a link, which is not followed; remove it, or choose another folder")
    return path


def write_atomic(path: Path, write: Callable[[IO[bytes]], object], durable: bool = True) -> None:
    """Call ``write`` with a temporary file beside ``path``, flush it to the disk, then rename it to ``path``.

    A reader, or the next run after a SIGKILL or a power cut, sees the old content or the new one, never a part.
    Parent folders are made. Without ``durable`` a power cut may leave a part, for files that have a checksum.

    Raises:
        OutputError: the folder or the disk refuses.
        PlaceError: ``path`` is a link, a folder, a pipe or a device, or its name is too long.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_special_target(path)
        handle, temporary = tempfile.mkstemp(suffix=TEMPORARY_SUFFIX, prefix=".", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write ``content`` atomically; see :func:`write_atomic`."""
    write_atomic(path, lambda file: file.write(content), durable)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically; NaN is refused (JSON has none)."""
    write_bytes(path, _json(value))


def write_output(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that the user named: atomically, or into the pipe or device that bears the name.

    ``/dev/stdout`` and the like lead to what the process prints into.

    Raises:
        OutputError: it cannot be written, is a folder, a disk, or a link to a file, or nobody reads the pipe.
    """
    if not _streams(path):
        write_atomic(path, write)
        return
    try:
        # Without O_NONBLOCK a pipe that nobody reads would make this wait without end.
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        os.set_blocking(handle, True)
        with os.fdopen(handle, "wb") as file:
            write(file)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OutputError(f"cannot write {path}: nobody reads this pipe; start its reader first") from error
        raise _cannot_write(path, error) from error


def write_json_output(path: Path, value: Any) -> None:
    """Write ``value`` as JSON to a file that the user named; see :func:`write_output`."""
    content = _json(value)
    write_output(path, lambda file: file.write(content))


def check_output(path: Path) -> None:
    """Find out, before long work, whether :func:`write_output` could write ``path``.

    Raises:
        OutputError: it is a folder, a disk, or a link to a file.
    """
    if not _streams(path):
        try:
            _refuse_special_target(path)
        except OSError as error:
            raise _cannot_write(path, error) from error


def remove(root: Path, relative: str) -> None:
    """Delete the file ``relative`` below ``root``, if it is there; of a link, the link.

    Raises:
        OutputError: it leads out of ``root``, goes through a link, or cannot be deleted.
    """
    path = inside(root, relative, may_be_link=True)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot delete {path}: {error.strerror or error}; check the permissions") from error


def remove_tree(root: Path, relative: str) -> None:
    """Delete the folder ``relative`` below ``root`` with all that is in it; links in it are not followed.

    What cannot be deleted stays.

    Raises:
        OutputError: it leads out of ``root``, or goes through a link.
    """
    shutil.rmtree(inside(root, relative), ignore_errors=True)


def remove_temporaries(folder: Path) -> None:
    """Delete what an interrupted :func:`write_atomic` left anywhere below ``folder``; links are not followed."""
    for place, _, names in os.walk(folder):  # which does not follow links to folders
        for name in names:
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(place, name))  # noqa: PTH108, PTH118  many files: Path is slow


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _refuse_irregular(path: Path, status: os.stat_result, most: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
        raise IrregularFileError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
    if most is not None and status.st_size > most:
        size = f"{status.st_size / 1e6:.0f} MB, over the limit of {most / 1e6:.0f} MB"
        raise IrregularFileError(errno.EFBIG, f"the file has {size}", str(path))


def _refuse_special_target(path: Path) -> None:
    """Refuse to replace what is not a regular file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise IrregularFileError(errno.EEXIST, f"{kind} has this name, and is not replaced", str(path))


def _streams(path: Path) -> bool:
    """Whether the name is that of a pipe or a character device, or leads to what is open in this process."""
    if path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",)) and path.is_symlink():
        return path.exists() and not path.is_dir()  # /dev/stdout, /dev/fd/1: what is printed may go to a file
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _cannot_write(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    if error.errno == errno.ENAMETOOLONG:
        return PlaceError(f"cannot write {path}: the file name is too long; rename the photograph")
    if isinstance(error, IrregularFileError) or error.errno in _TAKEN:
        return PlaceError(f"cannot write {path}: {reason}; remove it, or choose another place")
    return OutputError(f"cannot write {path}: {reason}; free the disk or choose another folder")


def _umask() -> int:
    mask = os.umask(0)  # the only portable way to read it is to set it
    os.umask(mask)
    return mask
