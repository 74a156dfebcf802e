"""Put files aside: nothing is deleted that a person may need."""

import os
from itertools import count
from pathlib import Path

from dhr.files import inside, move

GONE = "gone"
"""The folder for them, in an output folder."""


def put_aside(root: Path, relative: str) -> None:
    """Move a file or folder below ``root`` to ``gone/``, if it is there; nothing in there is overwritten.

    Raises OutputError if it leads out of ``root``, or cannot be moved.
    """
    if os.path.lexists(inside(root, relative, may_be_link=True)):
        places = (f"{GONE}/{'' if number == 1 else f'{number}/'}{relative}" for number in count(1))
        free = (place for place in places if not os.path.lexists(inside(root, place, may_be_link=True)))
        move(root, relative, next(free))
