"""Find out which map of another program's file belongs to which class.

A single file seldom shows it: two maps of a photograph with one tag may be of the background and the tag, or of both
classes of a table. So all files decide together, and ambiguous ones are refused.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dhr.data.plain_pickle import Refused
from dhr.data.samples import ClassTable
from dhr.words import counted

Kind = Literal["array", "keys", "classes", "mask"]
"""The identification of maps in a file: by place, by own numbers, by ids of the class table, by pixel values."""
Stack = Literal["tags", "classes", "table", "background"]
"""The content of arrays: the tags in order, all classes that can be tagged, the whole table, or background and tags."""

_EXPLICIT = "write dictionaries whose `classes` are ids of the class table (docs/models.md)"


@dataclass(frozen=True)
class Numbered:
    """The numbers of one file, and the tags of its photograph."""

    keys: frozenset[int]
    tags: tuple[int, ...]


def stack_numbers(
    count: int, tags: Sequence[int], classes: ClassTable, numbering: str = "tagged", stack: Stack | None = None
) -> tuple[int, ...]:
    """Return the places of the maps of ``tags`` in an array of ``count`` maps.

    Raises Refused if ``count`` is not that of ``stack`` or, without one, of any known stack.
    """
    usual = [name for name in _STACKS if name != "background" or numbering == "table"]
    if stack is None and any(_STACKS[name](count, tags, classes) is not None for name in usual):
        stack = find_stack([(count, tuple(tags))], classes, numbering)
    if stack is not None and (found := _STACKS[stack](count, tags, classes)) is not None:
        return found
    more = "; if its first map is the background's, --wss.numbering table" if count == len(tags) + 1 else ""
    raise Refused(
        f"it has {counted(count, 'map')}; expected {len(tags)}, one for each tag of the photograph, or "
        f"{len(classes.foreground)}, one for each class{more}"
    )


def find_stack(counts: Collection[tuple[int, tuple[int, ...]]], classes: ClassTable, numbering: str) -> Stack | None:
    """Return the content of arrays that fits most of them; None if none fits.

    ``counts`` holds, for each array, the number of its maps and the tags of its photograph. With ``numbering`` `table`,
    the first map may be the background's if the numbers leave it open. Raises Refused if several contents fit as many
    arrays, and differ.
    """
    places = {name: [place(count, tags, classes) for count, tags in counts] for name, place in _STACKS.items()}
    fits = {name: sum(one is not None for one in found) for name, found in places.items()}
    most = max(fits.values(), default=0)
    if most == 0:
        return None
    best: list[Stack] = [name for name in _STACKS if fits[name] == most]
    if numbering == "table":
        best = [name for name in best if name in _BACKGROUND_FIRST] or best
    if any(places[name] != places[best[0]] for name in best):
        raise Refused(
            f"{counted(most, 'array')} may hold {' or '.join(_WORDS[name] for name in best)}; if the first map is the "
            f"background's, --wss.numbering table, else {_EXPLICIT}"
        )
    if best == ["background"] and numbering != "table":
        raise Refused(
            f"one map more than tags in {counted(most, 'array')}; if the first is the background's, "
            f"--wss.numbering table, else {_EXPLICIT}"
        )
    return best[0]


def key_numbers(
    keys: Collection[int], kind: Kind, tags: Sequence[int], classes: ClassTable, numbering: str
) -> tuple[int, ...]:
    """Return the numbers of the maps of ``tags`` among the numbers ``keys`` of a file.

    Raises Refused if a tag has no map, or a number has no class.
    """
    start = classes.foreground.start
    first = start if kind == "keys" and numbering == "tagged" else 0
    missing = [classes.names[tag] for tag in tags if tag - first not in keys]
    beyond = [key for key in sorted(keys) if not 0 <= key + first < len(classes.names)]
    other = "tagged" if numbering == "table" else "table"
    hint = f"; if it numbers classes differently, give --wss.numbering {other}" if kind == "keys" and start else ""
    if missing:
        have = ", ".join(str(key) if key in beyond else classes.names[key + first] for key in sorted(keys))
        raise Refused(f"it lacks the map of {', '.join(missing)}, a tag of the photograph; it has {have}{hint}")
    if beyond and kind == "keys":
        raise Refused(
            f"it has a map of class number {beyond[0]}, but the last class is {len(classes.names) - 1 - first} "
            f"({classes.names[-1]}){hint}"
        )
    return tuple(tag - first for tag in tags)


def refuse_numbering(files: Sequence[Numbered], classes: ClassTable, numbering: str) -> None:
    """Raise Refused if files fit another numbering better than the requested one, or both.

    A file fits a numbering if each tag has a map and each number a class. It fits exactly if its numbers are those of
    the tags (with the background, if that is numbered), or of all classes.
    """
    start = classes.foreground.start
    first = 0 if numbering == "table" else start  # the class of the number 0
    if start == 0:
        name, other = "background", -1
    else:
        name, other = ("tagged", start) if first == 0 else ("table", 0)
    fitting = [file for file in files if _fits(file, classes, other)]
    ours, theirs = (
        (len(files), sum(_fits_exactly(file, classes, one) for file in files))
        for one, files in ((first, [file for file in files if _fits(file, classes, first)]), (other, fitting))
    )
    # One map more than tags, and a 0 in every file: a background first, or all classes.
    either = (
        theirs == ours
        and other < start
        and all(file.keys == {0, *(tag - other for tag in file.tags)} for file in files)
    )
    if theirs < ours or (theirs == ours and not (either and start and files)):
        return
    what = f"the numbers of the maps of {len(fitting)} of {len(files)} photographs"
    if name == "background":
        raise Refused(
            f"{what} begin with a background, which the data set lacks; make `background` the first line of "
            f"classes.txt, or {_EXPLICIT}"
        )
    how = "0 for the background" if name == "table" else "0 for the first class that can be tagged"
    raise Refused(f"{what} fit {how}: --wss.numbering {name}; if they are other, {_EXPLICIT}")


def _fits(file: Numbered, classes: ClassTable, first: int) -> bool:
    known = all(0 <= key < len(classes.names) - first for key in file.keys)
    return known and all(tag - first in file.keys for tag in file.tags)


def _fits_exactly(file: Numbered, classes: ClassTable, first: int) -> bool:
    tags = {tag - first for tag in file.tags}
    every = {index - first for index in classes.foreground}
    background = {0} if first < classes.foreground.start else set()
    return file.keys in (tags, tags | background, every, every | background)


def _tags(count: int, tags: Sequence[int], classes: ClassTable) -> tuple[int, ...] | None:
    return tuple(range(count)) if count == len(tags) else None


def _classes(count: int, tags: Sequence[int], classes: ClassTable) -> tuple[int, ...] | None:
    start = classes.foreground.start
    return tuple(tag - start for tag in tags) if count == len(classes.foreground) else None


def _table(count: int, tags: Sequence[int], classes: ClassTable) -> tuple[int, ...] | None:
    return tuple(tags) if count == len(classes.names) else None


def _background(count: int, tags: Sequence[int], classes: ClassTable) -> tuple[int, ...] | None:
    return tuple(range(1, count)) if classes.background and count == len(tags) + 1 else None


_STACKS: Mapping[Stack, Callable[[int, Sequence[int], ClassTable], tuple[int, ...] | None]] = {
    "tags": _tags,
    "classes": _classes,
    "table": _table,
    "background": _background,
}
_BACKGROUND_FIRST: tuple[Stack, ...] = ("table", "background")
_WORDS: Mapping[Stack, str] = {
    "tags": "the tags",
    "classes": "all classes that can be tagged",
    "table": "all classes and the background",
    "background": "the background and the tags",
}
