"""Answers of Ferret: texts with boxes, as JSON of one photograph or lines of JSON."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from dhr.data.classes import read_text
from dhr.data.listing import list_files
from dhr.data.objects.places import Places
from dhr.data.objects.record import Found, Objects, box
from dhr.errors import DataError, ItemError
from dhr.parsing import Fields, parse_json

_GRID = (1000, 1000)  # units of Ferret's boxes, whatever the photograph's size
_BOX = re.compile(r"([^\[\]]*)\[([^\[\]]*)\]")
_SENTENCE = re.compile(r"[.,;:!?]|\band\b", re.IGNORECASE)
_LONGEST = 100_000  # characters of an answer
_LINES = frozenset({".jsonl"})


def read_ferret(value: Any) -> list[Found] | None:
    """Return the boxes of an answer; None if it is of another format.

    A box follows its name: `a dog [120, 40, 600, 900]`. A box without a name has that of the box before.

    Raises ValueError if a box cannot be read.
    """
    if not isinstance(value, dict) or not isinstance(value.get("text"), str) or "shapes" in value:
        return None
    text, found, name = Fields(value).text("text", _LONGEST), list[Found](), ""
    if text.count("[") != text.count("]") or len(_BOX.findall(text)) != text.count("["):
        raise ValueError("its text has a bracket without its other half")
    for number, match in enumerate(_BOX.finditer(text), start=1):
        parts = [part.strip() for part in _SENTENCE.split(match[1]) if part.strip()]
        name = parts[-1] if parts else name
        if not name:
            raise ValueError(f"box {number} of its text has no name before it")
        try:
            sides = [int(side) for side in match[2].split(",")]
            if not all(0 <= side <= _GRID[0] for side in sides):
                raise ValueError("expected numbers, 0 to 1000")
            found.append(Found(name, box(sides, _GRID), place=f"box {number}"))
        except ValueError as error:
            raise ValueError(f"box {number} of its text, [{match[2][:40]}]: {error}") from error
    return found


class FerretLines:
    """A folder of answers, one per line of `.jsonl`, that name their photograph in `file_name`."""

    def __init__(self, root: Path) -> None:
        self._places: Places[list[str]] = Places(root)
        answers: dict[str, list[str]] = {}
        for file in list_files(root, _LINES).files:
            for number, line in enumerate(read_text(root / file).splitlines(), start=1):
                if line.strip():
                    answers.setdefault(_photograph(root / file, number, line), []).append(line)
        for name, lines in answers.items():
            self._places.add(name, lines)

    def strays(self, known: Collection[str]) -> list[str]:
        """See :class:`~dhr.data.objects.record.ObjectFolder`."""
        return self._places.strays(known)

    def read(self, name: str) -> Objects:
        """See :class:`~dhr.data.objects.record.ObjectFolder`; the answers to all questions are joined."""
        return Objects(str(self._places.root), tuple(self._found(name)))

    def _found(self, name: str) -> Iterator[Found]:
        for line in self._places.find(name):
            try:
                yield from read_ferret(parse_json(line)) or ()
            except ValueError as error:
                raise ItemError(f"{self._places.root}, answer on {name!r}: {error}; correct it") from error


def _photograph(path: Path, number: int, line: str) -> str:
    try:
        value = Fields(parse_json(line))
        value.text("text", _LONGEST)
        return value.text("file_name", 4096) if "file_name" in value else value.text("image", 4096)
    except ValueError as error:
        raise DataError(f"{path} line {number}: expected an answer with `file_name` and `text`: {error}") from error


def is_ferret(root: Path) -> bool:
    """Tell whether a folder holds lines of JSON."""
    return bool(list_files(root, _LINES).files)
