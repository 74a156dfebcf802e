"""Atomic writes: a file under its final name is whole, whenever the process is killed."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dhr.errors import OutputError

TEMPORARY_SUFFIX = ".dhr-tmp"


def write_atomic(path: Path, write: Callable[[IO[bytes]], object], durable: bool = True) -> None:
    """Call ``write`` with a temporary file beside ``path``, flush it to the disk, then rename it to ``path``.

    A reader, or the next run after a SIGKILL or a power cut, sees the old content or the new one, never a part.
    Parent folders are made. Without ``durable`` a power cut may leave a part, for files that have a checksum.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    try:
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
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; free the disk or choose another folder"
        ) from error


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write ``content`` atomically; see :func:`write_atomic`."""
    write_atomic(path, lambda file: file.write(content), durable)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically; NaN is refused (JSON has none)."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def remove_temporaries(folder: Path) -> None:
    """Delete what an interrupted :func:`write_atomic` left anywhere below ``folder``."""
    for path in folder.rglob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)  # the only portable way to read it is to set it
    os.umask(mask)
    return mask
