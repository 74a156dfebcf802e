"""Shards: sub-folders that share the files of many photographs, so that no folder holds too many of them.

The shard of a photograph depends on its name alone. So a file is found in a folder with shards and in one without, also
in a copy of a folder of masks.
"""

import os
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

LIMIT = 10_000
"""Largest number of photographs that have their files in one folder; with more of them, these folders get shards."""


def shard_of(name: str) -> str:
    """Return the shard of a photograph, one of 256.

    >>> shard_of("cat")
    'shard-a8'
    """
    composed = unicodedata.normalize("NFC", name)  # some systems store another form
    return f"shard-{zlib.crc32(composed.encode('utf-8', 'surrogateescape')) & 0xFF:02x}"


def in_shard(name: str) -> str:
    """Return the name of a photograph with its shard before it.

    >>> in_shard("trip/cat")
    'shard-8e/trip/cat'
    """
    return f"{shard_of(name)}/{name}"


def out_of_shard(place: str) -> str:
    """Return the name of a photograph from the place of its file, without suffix, with or without a shard.

    >>> out_of_shard("shard-a8/cat"), out_of_shard("trip/cat")
    ('cat', 'trip/cat')
    """
    first, slash, rest = place.partition("/")
    return rest if slash and first == shard_of(rest) else place


def find(folder: Path, name: str, suffix: str) -> Path:
    """Return the place of a photograph's file in a folder: in its shard if it is only there, else without a shard."""
    plain, sharded = (folder / f"{place}{suffix}" for place in (name, in_shard(name)))
    places = [sharded, plain] if like_a_shard(name) else [plain, sharded]
    return next((path for path in places if os.path.lexists(path)), plain)


def like_a_shard(name: str) -> bool:
    """Tell whether the name of a photograph is the place of another one in its shard.

    >>> like_a_shard("shard-a8/cat"), like_a_shard("shard-a8/dog")
    (True, False)
    """
    return out_of_shard(name) != name


def files_in(folder: Path, suffix: str, shards: bool = True) -> Iterator[tuple[str, str]]:
    """Yield name and path of each photograph with a file in a folder, in no order; links are not followed.

    Args:
        folder: the folder.
        suffix: of the files.
        shards: whether the folder may have shards; else its sub-folders are those of the photographs.
    """
    root = os.path.join(folder, "")  # noqa: PTH118  many files: Path is slow
    for place, _, files in os.walk(root):
        above = place[len(root) :].replace(os.sep, "/")
        for file in files:
            if file.endswith(suffix):
                name = f"{above}/{file}".removeprefix("/").removesuffix(suffix)
                yield out_of_shard(name) if shards else name, os.path.join(place, file)  # noqa: PTH118


def too_many(names: Iterable[str]) -> bool:
    """Return whether the files of these photographs need shards.

    Sub-folders in the names count one by one: a data set of a hundred folders with a thousand photographs each keeps
    these folders.
    """
    folders = Counter(name.rpartition("/")[0] for name in names)
    return max(folders.values(), default=0) > LIMIT


def place(root: Path, folder: str, name: str, suffix: str, shards: bool) -> str:
    """Return the place of a photograph's file in a folder of a run, relative to the run's ``root``.

    Args:
        root: the output folder of the run.
        folder: a folder in it, such as ``masks``.
        name: the photograph.
        suffix: of the file.
        shards: whether the run has shards. Files without one stay in place.
    """
    plain = f"{folder}/{name}{suffix}"
    if shards and (like_a_shard(name) or not os.path.lexists(f"{root}/{plain}")):
        return f"{folder}/{in_shard(name)}{suffix}"
    return plain
