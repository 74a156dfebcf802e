"""Read JSON from outside, and check each member's kind.

Files of dhr may come back damaged, or from somebody else, so they are checked like any others.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dhr.files import read_regular

MAX_RECORD = 16_000_000
"""Largest record of one photograph or of a store, bytes."""
MAX_RECORDS = 1_000_000_000
"""Largest record of a whole data set, bytes; a million photographs have a fifth of it."""

DIGITS = 30
"""Digits of the longest whole number that stays one; ids have at most 20."""
_SHOWN = 40  # characters of a wrong value in a message


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; refuse a key that occurs twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def whole_number(text: str) -> int | float:
    """Read a number without a fraction; numbers with more digits than any id become floats."""
    return int(text) if len(text) <= DIGITS else float(text)


DECODER = json.JSONDecoder(object_pairs_hook=unique_keys, parse_constant=_no_constant, parse_int=whole_number)


def parse_json(text: str) -> Any:
    """Parse a JSON text; raises ValueError if it is not JSON, has a key twice, or is nested too deep.

    >>> parse_json('{"tags": ["cat"]}')
    {'tags': ['cat']}
    """
    try:
        return DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def load_json(path: Path, most: int) -> Any:
    """Read a JSON file that dhr wrote, with its texts unchanged.

    Raises OSError if it cannot be read, is not a regular file, or is larger than ``most`` bytes (``strerror`` gives
    the reason); ValueError if it is not JSON.
    """
    return parse_json(read_regular(path, most).decode())


class Fields:
    """The members of a JSON object, each read with its kind and range.

    All methods raise ValueError with what was expected and what came.

    >>> Fields({"bits": 8}).whole("bits", 1, 16)
    8
    >>> Fields({"bits": True}).whole("bits", 1, 16)
    Traceback (most recent call last):
    ValueError: bits: expected a whole number, 1 to 16; got True
    """

    def __init__(self, value: Any, name: str = "") -> None:
        if not isinstance(value, dict):
            raise _wrong(name, "an object", value)
        self._members, self._name = value, name

    def __contains__(self, name: str) -> bool:
        return self._members.get(name) is not None

    def names(self) -> list[str]:
        """Return the names of all members."""
        return [str(key) for key in self._members]

    def value(self, name: str) -> Any:
        """Return the member, of any kind."""
        if name not in self._members:
            raise ValueError(f"{self._path(name)}: expected, but it is missing")
        return self._members[name]

    def text(self, name: str, longest: int = 10_000) -> str:
        """Return a text."""
        return as_text(self.value(name), self._path(name), longest)

    def texts(self, name: str, most: int = 1_000_000) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(as_text(one, self._path(name)) for one in self.entries(name, most))

    def whole(self, name: str, low: int, high: int) -> int:
        """Return a whole number."""
        return as_whole(self.value(name), low, high, self._path(name))

    def number(self, name: str, low: float | int = -math.inf, high: float | int = math.inf) -> float:
        """Return a finite number."""
        return as_number(self.value(name), low, high, self._path(name))

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise _wrong(self._path(name), "true or false", value)
        return value

    def entries(self, name: str, most: int = 1_000_000) -> Sequence[Any]:
        """Return a list."""
        value = self.value(name)
        if not isinstance(value, list):
            raise _wrong(self._path(name), "a list", value)
        if len(value) > most:
            raise ValueError(f"{self._path(name)}: expected at most {most} entries, got {len(value)}")
        return value

    def object(self, name: str | None = None) -> dict[str, Any]:
        """Return an object as a dictionary; without a name, all of this one."""
        return dict(self._members if name is None else Fields(self.value(name), self._path(name))._members)

    def fields(self, name: str) -> "Fields":
        """Return an object, to read members of it."""
        return Fields(self.value(name), self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name


def as_whole(value: Any, low: int, high: int, name: str = "") -> int:
    """Check a whole number; raises ValueError for other values, and out of range.

    >>> as_whole(3, 0, 9)
    3
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(name, f"a whole number, {low} to {high}", value)
    return value


def as_number(value: Any, low: float | int = -math.inf, high: float | int = math.inf, name: str = "") -> float:
    """Check a finite number; raises ValueError for other values, and out of range.

    >>> as_number(0.5, 0, 1)
    0.5
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value) or not low <= value <= high:
        bounded = "" if low == -math.inf and high == math.inf else f", {low:g} to {high:g}"
        raise _wrong(name, f"a finite number{bounded}", value)
    return float(value)


def as_text(value: Any, name: str = "", longest: int = 10_000) -> str:
    """Check a text; raises ValueError for other values, and if it is too long.

    >>> as_text("cat")
    'cat'
    """
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    if len(value) > longest:
        raise ValueError(f"{name}: expected at most {longest} characters, got {len(value)}".removeprefix(": "))
    return value


def _finite(value: float | int) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _wrong(name: str, wanted: str, value: Any) -> ValueError:
    if isinstance(value, dict | list):
        got = "an object" if isinstance(value, dict) else "a list"
    else:
        got = repr(value) if isinstance(value, str | float | bool) or value is None else str(value)[:_SHOWN]
        got = got if len(got) <= _SHOWN else got[:_SHOWN] + "..."
    return ValueError(f"{name}: expected {wanted}; got {got}".removeprefix(": "))
