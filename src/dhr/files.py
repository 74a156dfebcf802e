"""Read, write and delete files: regular files of bounded size only, written whole; files of others stay.

Every reader of files from outside opens them with :func:`open_regular`, or calls :func:`check_regular` before a library
opens them. Every writer uses :func:`write_atomic` (files in a folder of dhr) or :func:`write_output` (a file that the
user named), every deletion :func:`remove`, :func:`remove_tree` or :func:`remove_temporaries`. One process at a time
works in an output folder: :mod:`dhr.locks`.
"""

import errno
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from dhr.errors import OutputError, PlaceError
from dhr.file_checks import IrregularFileError as IrregularFileError
from dhr.file_checks import cannot_write, is_link, refuse_irregular, refuse_special_target

TEMPORARY_SUFFIX = ".dhr-tmp"


def open_regular(path: Path, most: int | None = None) -> io.BufferedReader:
    """Open a regular file of at most ``most`` bytes for reading; links to files are followed.

    A pipe or device could make its reader wait or read without end, so it is refused before it is opened. Raises
    OSError if the file is missing, cannot be opened, is not a regular file, or is too large; ``strerror`` gives the
    reason in words.
    """
    check_regular(path, most)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        refuse_irregular(path, os.fstat(handle), most)  # it may have been exchanged in between
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: Path, most: int | None = None) -> int:
    """Return the size of a regular file, in bytes, for libraries that open files themselves; raises as
    :func:`open_regular`.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a file name cannot hold NUL", str(path))
    status = path.stat()
    refuse_irregular(path, status, most)
    return status.st_size


def read_regular(path: Path, most: int | None = None) -> bytes:
    """Return the content of a regular file; raises as :func:`open_regular`."""
    with open_regular(path, most) as file:
        if most is None:
            return file.read()
        size = os.fstat(file.fileno()).st_size  # a buffer of ``most`` bytes would take longer than a small file
        return file.read(min(size, most) + 1)


def digest_regular(path: Path, most: int | None = None) -> str:
    """Return the SHA-256 of a regular file, in hex, read in parts; raises as :func:`open_regular`."""
    with open_regular(path, most) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(root: Path, relative: str, *, may_be_link: bool = False) -> Path:
    """Return the path ``root/relative``, which is certain to be below ``root``.

    Output folders may come from somebody else, and a link in them could lead any write or deletion elsewhere. ``root``
    itself may be a link. If ``may_be_link``, the last part may be one too (then it is replaced or deleted, never its
    target). Raises OutputError if the path leads out of ``root``; PlaceError if it goes through a link.
    """
    parts = PurePosixPath(relative.replace("\\", "/")).parts if os.name == "nt" else PurePosixPath(relative).parts
    if not parts or ".." in parts or PurePosixPath(relative).is_absolute() or "\0" in relative:
        raise OutputError(f"expected a path inside {root}, got {relative!r}; the folder is damaged, choose another")
    path = root
    for number, part in enumerate(parts, start=1):
        path = path / part
        if not (may_be_link and number == len(parts)) and is_link(path):
            raise PlaceError(f"{path} is a link, which is not followed; remove it, or choose another folder")
    return path


def write_atomic(path: Path, write: Callable[[IO[bytes]], object], durable: bool = True) -> None:
    """Call ``write`` with a temporary file beside ``path``, flush it to disk, then rename it to ``path``.

    So the file always has the old content or the new one, never a part, even after a SIGKILL or a power cut. Parent
    folders are made. Without ``durable`` a power cut may leave a part; that is for files with a checksum. Raises
    OutputError if the folder or the disk refuses; PlaceError if ``path`` is a link, a folder, a pipe or a device, or
    its name is too long.
    """
    try:
        refuse_special_target(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        handle = _new_file(temporary)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def is_own_file(path: Path) -> bool:
    """Tell whether a regular file has this name; a link was not written here."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write ``content`` atomically; see :func:`write_atomic`."""
    write_atomic(path, lambda file: file.write(content), durable)


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write ``value`` as UTF-8 JSON, atomically; NaN is refused (JSON does not have it)."""
    write_bytes(path, _json(value, indent))


def write_output(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that the user named: atomically, or into the pipe or device of that name.

    ``/dev/stdout``, ``/dev/fd/1`` and the like are the output of the process, after everything printed so far. Raises
    OutputError if it cannot be written, is a folder, a disk, or a link to a file, or nobody reads the pipe.
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
            raise OutputError(f"cannot write {path}: the pipe has no reader; start its reader first") from error
        raise cannot_write(path, error) from error


def write_json_output(path: Path, value: Any) -> None:
    """Write ``value`` as JSON to a file that the user named; see :func:`write_output`."""
    content = _json(value)
    write_output(path, lambda file: file.write(content))


def check_output(path: Path) -> None:
    """Check, before long work, that :func:`write_output` could write ``path``.

    Raises OutputError if it is a folder, a disk, a link to a file, or below a file.
    """
    if not is_stream(path):
        try:
            refuse_special_target(path)
            nearest = next((folder for folder in path.absolute().parents if os.path.lexists(folder)), None)
            if nearest is not None and not nearest.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except OSError as error:
            raise cannot_write(path, error) from error


def is_stream(path: Path) -> bool:
    """Tell whether :func:`write_output` would write into a pipe, a device, or the output of the process."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def remove(root: Path, relative: str) -> None:
    """Delete the file ``relative`` below ``root``, if it exists; of a link, the link.

    Raises OutputError if it leads out of ``root``, or cannot be deleted; PlaceError if it goes through a link, or is
    neither a file nor a link.
    """
    path = inside(root, relative, may_be_link=True)
    try:
        if not is_link(path):
            refuse_special_target(path)
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
        raise cannot_write(place, error) from error


def remove_tree(root: Path, relative: str) -> None:
    """Delete the folder ``relative`` below ``root`` with its content, without following links; raises as
    :func:`inside`.

    Undeletable files stay.
    """
    shutil.rmtree(inside(root, relative), ignore_errors=True)  # which refuses a link, and follows none below


def remove_temporaries(folder: Path) -> None:
    """Delete the files of an interrupted :func:`write_atomic` below ``folder``; links are not followed.

    Undeletable files stay: they do no harm.
    """
    for place, _, names in os.walk(folder):  # which does not follow links to folders
        for name in names:
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
                with suppress(OSError):
                    os.unlink(os.path.join(place, name))  # noqa: PTH108, PTH118  many files: Path is slow


def _new_file(path: Path) -> int:
    """Make a file and open it for writing.

    The system applies the umask. A program could only read it by changing it for a moment, for all threads.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o666)


def _json(value: Any, indent: int | None = 2) -> bytes:
    return (json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _descriptor(path: Path) -> int | None:
    """Return the file descriptor that a name such as ``/dev/stdout`` means; None for other names.

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
