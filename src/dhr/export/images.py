"""Photographs beside their annotations, for formats with photographs."""

import os
import shutil
from pathlib import Path
from typing import Literal

from dhr.errors import ItemError, PlaceError
from dhr.files import open_regular, write_atomic


def place(photograph: Path | None, target: Path, how: Literal["link", "copy"]) -> None:
    """Make ``target`` a symbolic link to the photograph, or a copy of it.

    Raises:
        ItemError: the photograph is no file, or cannot be read.
        PlaceError: something else has the name of the target.
        OutputError: the folder or the disk refuses.
    """
    if photograph is None:
        raise ItemError(f"{target.name}: the photograph is not a file, so it cannot be linked or copied; --images none")
    if how == "link":
        source = photograph.resolve()
        try:
            if target.is_symlink() and target.readlink() == source:
                return
            if os.path.lexists(target) and not target.is_symlink() and not target.is_file():
                raise PlaceError(f"{target} is not a file of an export, and is not replaced; remove it")
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}.dhr-tmp")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(source)
            temporary.replace(target)
        except OSError as error:
            raise ItemError(f"{target}: cannot link: {error.strerror or error}; use --images copy") from error
        return
    try:
        with open_regular(photograph) as file:
            write_atomic(target, lambda out: shutil.copyfileobj(file, out))
    except OSError as error:
        raise ItemError(f"{photograph}: cannot be read: {error.strerror or error}; check the file") from error
