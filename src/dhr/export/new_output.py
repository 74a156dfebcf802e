"""Outputs of exports: they replace an earlier export or nothing, and appear when they are complete."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dhr.errors import OutputError
from dhr.files import TEMPORARY_SUFFIX, check_output, is_stream, open_regular, write_output


def write_file(out: Path, start: bytes, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file to a new place, to a pipe, or over a file that begins with ``start``, as exports of its kind do.

    Raises:
        OutputError: something else is at ``out``, or it cannot be written.
    """
    if not is_stream(out):
        try:
            if out.is_dir():
                raise OutputError(f"{out} is a folder, this format makes a file; name a file with --out")
            check_output(out)
            found = start
            if out.exists():
                with open_regular(out) as file:
                    found = file.read(len(start))
        except OSError as error:
            raise OutputError(f"cannot write {out}: {error.strerror or error}; choose another file") from error
        if found != start:
            raise OutputError(f"{out} exists, and is not an export of this kind; choose another --out, or delete it")
    write_output(out, write)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Make a temporary folder beside ``out``; it becomes ``out`` after the block, or is deleted after an error.

    Raises:
        OutputError: ``out`` is a file or a folder with something in it, or the disk refuses.
    """
    temporary = out.parent / f".{out.name}.{os.getpid()}{TEMPORARY_SUFFIX}"
    try:
        if out.is_symlink():
            raise OutputError(f"{out} is a link, and this format makes a new folder; choose another --out")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputError(f"{out} exists, and this format makes a new folder; choose another --out, or delete it")
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if out.exists():
                out.rmdir()
            temporary.rename(out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; choose another folder") from error
