"""Files: what is read is a regular file of bounded size; what is written is whole; what is not ours stays.

Every reader of files from outside opens them with :func:`open_regular`, or asks :func:`check_regular` before a library
opens them. Every writer goes through :func:`write_atomic` (files in a folder of ours) or :func:`write_output` (a file
that the user named), every deletion through :func:`remove`, :func:`remove_tree` or :func:`remove_temporaries`. One
process at a time works in a folder that it fills: :func:`hold`.
"""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

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


def open_regular(path: Path, most: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading; links to files are followed.

    A pipe or device would make its reader wait, or read, without end, so it is refused before it is opened.

    Args:
        path: the file.
        most: largest size, bytes.

    Raises:
        OSError: there is no such file, it cannot be opened, is no regular file, or is too large; ``strerror`` says why
            in words.
    """
    check_regular(path, most)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _refuse_irregular(path, os.fstat(handle), most)  # it may have been exchanged in between
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: Path, most: int | None = None) -> int:
    """Size of a regular file, in bytes; for libraries that open files themselves.

    Raises:
        OSError: as :func:`open_regular`.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a file name cannot hold NUL", str(path))
    status = path.stat()
    _refuse_irregular(path, status, most)
    return status.st_size


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as :func:`open_regular`.
    """
    with open_regular(path, most) as file:
        return file.read() if most is None else file.read(most + 1)


def digest_regular(path: Path, most: int | None = None) -> str:
    """SHA-256, in hex, of a regular file, which is never held in memory as a whole.

    Raises:
        OSError: as :func:`open_regular`.
    """
    with open_regular(path, most) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(root: Path, relative: str, *, may_be_link: bool = False) -> Path:
    """The path ``root/relative``, which is certain to lie below ``root``.

    Folders of ours may come from somebody else. A link in them could lead any write or deletion elsewhere.

    Args:
        root: a folder, which may itself be a link.
        relative: POSIX path below it; it need not exist.
        may_be_link: whether the last part may be a link (it is then replaced or deleted itself, never its target).

    Raises:
        OutputError: the path leads out of ``root``.
        PlaceError: it goes through a link.
    """
    parts = PurePosixPath(relative.replace("\\", "/")).parts if os.name == "nt" else PurePosixPath(relative).parts
    if not parts or ".." in parts or PurePosixPath(relative).is_absolute() or "\0" in relative:
        raise OutputError(f"expected a path inside {root}, got {relative!r}; the folder is damaged, choose another")
    path = root
    for number, part in enumerate(parts, start=1):
        path = path / part
        if not (may_be_link and number == len(parts)) and _is_link(path):
            raise PlaceError(f"{path} is a link, which is not followed; remove it, or choose another folder")
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
        _refuse_special_target(path)
        path.parent.mkdir(parents=True, exist_ok=True)
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


def is_own_file(path: Path) -> bool:
    """Whether a regular file has this name; a link to one is somebody else's, and not what was written here."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write ``content`` atomically; see :func:`write_atomic`."""
    write_atomic(path, lambda file: file.write(content), durable)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically; NaN is refused (JSON has none)."""
    write_bytes(path, _json(value))


def write_output(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that the user named: atomically, or into the pipe or device that bears the name.

    ``/dev/stdout``, ``/dev/fd/1`` and the like are what the process prints into, after what it has printed so far.

    Raises:
        OutputError: it cannot be written, is a folder, a disk, or a link to a file, or nobody reads the pipe.
    """
    printed = _descriptor(path)
    if not is_stream(path):
        write_atomic(path, write)
        return
    try:
        if printed is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            handle = os.dup(printed)  # opened again, a file would be written from its beginning
        else:
            # Without O_NONBLOCK a pipe that nobody reads would make this wait without end.
            handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
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
        OutputError: it is a folder, a disk, a link to a file, or below a file.
    """
    if not is_stream(path):
        try:
            _refuse_special_target(path)
            if not _nearest_folder(path).is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except OSError as error:
            raise _cannot_write(path, error) from error


def is_stream(path: Path) -> bool:
    """Whether :func:`write_output` would write into what bears the name: a pipe, a device, or what is printed."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def remove(root: Path, relative: str) -> None:
    """Delete the file ``relative`` below ``root``, if it is there; of a link, the link.

    Raises:
        OutputError: it leads out of ``root``, or cannot be deleted.
        PlaceError: it goes through a link, or is neither a file nor a link.
    """
    path = inside(root, relative, may_be_link=True)
    try:
        if not _is_link(path):
            _refuse_special_target(path)
        path.unlink(missing_ok=True)
    except IrregularFileError as error:
        raise PlaceError(f"cannot delete {path}: {error.strerror}; remove it, or choose another place") from error
    except OSError as error:
        raise OutputError(f"cannot delete {path}: {error.strerror or error}; check the permissions") from error


def move(root: Path, relative: str, target: str) -> None:
    """Move the file or folder ``relative`` below ``root`` to ``target`` below it; of a link, the link.

    Raises:
        OutputError: one of both leads out of ``root``, goes through a link, or cannot be written.
    """
    path, place = (inside(root, one, may_be_link=True) for one in (relative, target))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    except OSError as error:
        raise _cannot_write(place, error) from error


def remove_tree(root: Path, relative: str) -> None:
    """Delete the folder ``relative`` below ``root`` with all that is in it; links in it are not followed.

    What cannot be deleted stays.

    Raises:
        OutputError: it leads out of ``root``, or goes through a link.
    """
    shutil.rmtree(inside(root, relative), ignore_errors=True)  # which refuses a link, and follows none below


def remove_temporaries(folder: Path) -> None:
    """Delete what an interrupted :func:`write_atomic` left anywhere below ``folder``; links are not followed.

    What cannot be deleted stays: it does no harm.
    """
    for place, _, names in os.walk(folder):  # which does not follow links to folders
        for name in names:
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
                with suppress(OSError):
                    os.unlink(os.path.join(place, name))  # noqa: PTH108, PTH118  many files: Path is slow


def hold(root: Path, name: str) -> IO[bytes]:
    """Hold a folder for this process by its lock file ``name``, until the file that is returned is closed.

    Raises:
        OutputError: another process holds it, the lock is no regular file, or the folder refuses.
    """
    path = inside(root, name, may_be_link=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        _refuse_special_target(path)
        file = os.fdopen(os.open(path, flags, 0o666), "r+b")
        _refuse_irregular(path, os.fstat(file.fileno()), None)
    except OSError as error:
        raise _cannot_write(path, error) from error
    if not _locked(file):
        file.close()
        raise OutputError(f"another process is writing to {root}; wait for it, or choose another --out")
    return file


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
    if "\0" in str(path):
        raise IrregularFileError(errno.EINVAL, "a file name cannot hold NUL", str(path))
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise IrregularFileError(errno.EEXIST, f"{kind} has this name, and is not replaced", str(path))


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except OSError:  # not there, or a name that cannot be: whoever writes it is told
        return False


def _descriptor(path: Path) -> int | None:
    """The number of what is open in this process, if the name means that.

    >>> _descriptor(Path("/dev/stdout")), _descriptor(Path("/proc/self/fd/7")), _descriptor(Path("/dev/null"))
    (1, 7, None)
    """
    names = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
    if os.name != "posix":
        return None
    if str(path) in names:
        return names[str(path)]
    found = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d{1,6})", str(path))
    return int(found[1]) if found else None


def _nearest_folder(path: Path) -> Path:
    """The first of the folders above ``path`` that is there."""
    return next((folder for folder in path.absolute().parents if os.path.lexists(folder)), Path(path.absolute().anchor))


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
