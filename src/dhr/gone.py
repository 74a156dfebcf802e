"""Put files aside: nothing is deleted that a person may need."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from dhr.files import inside, is_own_file, move, read_regular, write_bytes

GONE = "gone"
"""The folder for them, in an output folder."""


def put_aside(root: Path, relative: str) -> None:
    """Move a file or folder below ``root`` to ``gone/``, if it is there; nothing in there is overwritten.

    Raises OutputError if it leads out of ``root``, or cannot be moved.
    """
    if os.path.lexists(inside(root, relative, may_be_link=True)):
        free = (place for place in _places(relative) if not os.path.lexists(inside(root, place, may_be_link=True)))
        move(root, relative, next(free))


def keep_copy(root: Path, relative: str, content: bytes) -> None:
    """Write the content of a file to ``gone/``, under its name, unless a file of this content and name is there.

    Raises OutputError if it leads out of ``root``, or cannot be written.
    """
    for place in _places(relative):
        path = inside(root, place, may_be_link=True)
        if not os.path.lexists(path):
            write_bytes(path, content)
            return
        if _has(path, content):
            return


def _places(relative: str) -> Iterator[str]:
    """Yield the places of a file in ``gone/``, one after the other."""
    return (f"{GONE}/{'' if number == 1 else f'{number}/'}{relative}" for number in count(1))


def _has(path: Path, content: bytes) -> bool:
    """Return whether a file has this content; one that cannot be read has another."""
    try:
        return is_own_file(path) and read_regular(path, len(content)) == content
    except OSError:
        return False
