"""Read the lines of ``classes.txt`` in the forms in which other programs write them."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from dhr.data.background import BACKGROUND, is_background
from dhr.errors import DataError

_REMEDY = "write only the names, one per line, class 0 first"
_NUMBERED = re.compile(r"(\d{1,3})(\s*[:,\t]\s*|[.)]\s+|\s+)(\S.*)")


def names_in(path: Path, text: str) -> tuple[list[str], list[str]]:
    """Return names of classes by id, and notes on how they were read.

    Blank lines at the end are ignored. Numbers from 0 before all names are dropped, and so is labelme's `__ignore__`
    before the background. Raises DataError if the text is JSON or YAML, has all names in one line, counts from 1, or
    has a blank line between names (it would shift the ids).
    """
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    _refuse_other_formats(path, lines)
    for number, name in enumerate(lines, start=1):
        if not name:
            raise DataError(f"{path} line {number}: blank, but the line number is the class id; remove the line")
    names, notes = _without_numbers(path, lines)
    if len(names) > 1 and names[0] == "__ignore__" and is_background(names[1]):
        names = names[1:]
        notes.append(f"{path}: '__ignore__' is not a class, and {names[0]!r} is class 0")
    if names and is_background(names[0]) and names[0].casefold() != BACKGROUND:
        notes.append(f"{path}: {names[0]!r} is the background")
    return names, notes


def _refuse_other_formats(path: Path, lines: Sequence[str]) -> None:
    if not lines:
        return
    if lines[0][:1] in ("[", "{") and lines[-1][-1:] in ("]", "}"):
        raise DataError(f"{path}: expected names of classes, got JSON; {_REMEDY}")
    if all(re.match(r"-\s+\S", line) for line in lines) or re.fullmatch(r"(names|classes|labels)\s*:.*", lines[0]):
        raise DataError(f"{path}: expected names of classes, got YAML; {_REMEDY}")
    if len(lines) == 1 and re.search(r"[,\t|]", lines[0]):
        raise DataError(f"{path}: expected one name per line, got several in one line, {lines[0][:60]!r}; {_REMEDY}")
    if len(lines) > 1 and all(line.endswith(",") for line in lines[:-1]):
        raise DataError(f"{path} line 1: expected a name, got {lines[0]!r} with a comma after it; {_REMEDY}")


def _without_numbers(path: Path, lines: list[str]) -> tuple[list[str], list[str]]:
    """Return the names of a list such as ``0: cat``; with only a blank after it, a number may be part of the name."""
    found = [_NUMBERED.fullmatch(line) for line in lines]
    matches = [match for match in found if match is not None]
    if not lines or len(matches) < len(lines):
        return lines, []
    numbers = [int(match[1]) for match in matches]
    marked = all(match[2].strip(" ") for match in matches)
    if numbers == list(range(len(lines))) and (marked or len(lines) > 1):
        return [match[3] for match in matches], [f"{path}: the numbers 0 to {numbers[-1]} are ids, not part of names"]
    if marked and len(lines) > 1 and all(first < second for first, second in pairwise(numbers)):
        raise DataError(
            f"{path}: expected class ids 0 to {len(lines) - 1}, as masks store them, got {numbers[0]} to "
            f"{numbers[-1]}; {_REMEDY}"
        )
    return lines, []
