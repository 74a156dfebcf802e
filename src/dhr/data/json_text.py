"""Read JSON from outside: errors have one line, and large files are read one element at a time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dhr.data.classes import MAX_TEXT, read_text
from dhr.errors import DataError
from dhr.parsing import DECODER, parse_json, unique_keys, whole_number
from dhr.progress import Progress, Step

__all__ = ["members", "parse_json", "read_json"]

_BLANK = re.compile(r"[ \t\r\n]*")


_WITH_CONSTANTS = json.JSONDecoder(object_pairs_hook=unique_keys, parse_constant=float, parse_int=whole_number)


def read_json(path: Path, most: int = MAX_TEXT) -> Any:
    """Read a JSON file of at most ``most`` bytes; raises DataError if it cannot be read or is not JSON."""
    try:
        return parse_json(read_text(path, most))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); write it again") from error


def members(
    path: Path, text: str, progress: Progress | None = None, constants: bool = False
) -> Iterator[tuple[str, int, Any]]:
    """Yield key, line and value of each member of the object in ``text``; of lists, each element as a member of its
    own.

    One element is held at a time, so a file of hundreds of megabytes takes little more memory than its text. Elements
    of a list as the whole text have the empty key. ``progress`` gets the kilobytes read. With ``constants``, NaN,
    Infinity and -Infinity are floats: Python writes them, although they are not JSON. Raises DataError at the first
    place that is not JSON; earlier members have been yielded.
    """
    yield from _Reader(path, text, progress, _WITH_CONSTANTS if constants else DECODER)


class _Reader:
    """Walks through the text of a JSON file."""

    def __init__(self, path: Path, text: str, progress: Progress | None, decoder: json.JSONDecoder) -> None:
        self._path, self._text, self._progress, self._decoder = path, text, progress, decoder
        self._at = 0
        self._line, self._counted = 1, 0  # the line of the character ``_counted``: lines are counted once

    def __iter__(self) -> Iterator[tuple[str, int, Any]]:
        self._skip()
        if self._next() == "[":
            yield from self._elements("")
        elif self._next() == "{":
            for _ in self._parts("}"):
                start = self._at
                key = self._value()
                self._skip()
                if not isinstance(key, str) or self._next() != ":":
                    raise self._wrong(start, "expected a key and ':'")
                self._at += 1
                self._skip()
                if self._next() == "[":
                    yield from self._elements(key)
                else:
                    line = self._line_at(self._at)
                    yield key, line, self._value()
        else:
            raise self._wrong(self._at, "expected an object or a list")
        self._skip()
        if self._at < len(self._text):
            raise self._wrong(self._at, "more after its end")

    def _elements(self, key: str) -> Iterator[tuple[str, int, Any]]:
        for number, _ in enumerate(self._parts("]"), start=1):
            if self._progress is not None and number % 5_000 == 0:  # a short list is read in a moment
                self._progress(Step("open", self._at >> 10, len(self._text) >> 10, "kilobytes"))
            line = self._line_at(self._at)
            yield key, line, self._value()

    def _parts(self, end: str) -> Iterator[None]:
        """Stop before each part of a list or object, and after the last, at its bracket."""
        self._at += 1
        self._skip()
        more = self._next() != end
        while more:
            yield
            self._skip()
            if self._next() not in (",", end):
                raise self._wrong(self._at, f"expected ',' or {end!r}")
            if more := self._next() == ",":
                self._at += 1
                self._skip()
        self._at += 1

    def _value(self) -> Any:
        start = self._at
        try:
            found, self._at = self._decoder.raw_decode(self._text, start)
        except RecursionError:
            raise self._wrong(start, "nested too deep") from None
        except json.JSONDecodeError as error:
            raise self._wrong(error.pos, error.msg) from error
        except ValueError as error:
            raise self._wrong(start, error) from error
        return found

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        if found := _BLANK.match(self._text, self._at):
            self._at = found.end()

    def _line_at(self, at: int) -> int:
        self._line += self._text.count("\n", self._counted, at)
        self._counted = max(at, self._counted)
        return self._line

    def _wrong(self, at: int, what: object) -> DataError:
        return DataError(f"{self._path} line {self._line_at(at)}: not valid JSON ({what}); write the file again")
