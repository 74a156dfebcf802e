"""A folder that appears under its name when it is complete."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dhr.errors import OutputError
from dhr.files import TEMPORARY_SUFFIX


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out``, which becomes ``out`` if no error leaves the block, and is deleted otherwise.

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
