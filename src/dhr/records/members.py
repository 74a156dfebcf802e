"""JSON of frozen dataclasses: it is read, written and described by the types of their fields."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from dhr.parsing import Fields, as_number, as_text, as_whole, load_json

Record = TypeVar("Record")

VERSION = 1
"""Version of the files that this program writes."""
_LONGEST = 1_000_000  # characters of a text
_MOST = 10_000_000  # entries of a list


@dataclass(frozen=True)
class Limits:
    """Range of a number."""

    low: float | int
    high: float | int


Share = Annotated[float, Limits(0, 1)]
Amount = Annotated[float, Limits(0, math.inf)]
Count = Annotated[int, Limits(0, 1 << 40)]
Side = Annotated[int, Limits(1, 1 << 31)]


def read_record(cls: type[Record], path: Path, most: int) -> Record:
    """Read a record from a file of at most ``most`` bytes.

    Raises:
        OSError: it cannot be read; ``strerror`` gives the reason.
        ValueError: it is damaged, or of a later version.
    """
    return parse_record(cls, load_json(path, most))


def parse_record(cls: type[Record], value: Any, *, lenient: bool = False, name: str = "") -> Record:
    """Make a record from a JSON object. Members that are not fields of the record are ignored.

    Args:
        lenient: whether a damaged member takes its default, and a damaged entry is left out.

    Raises:
        ValueError: a member is damaged or missing, or the file is of a later version.
    """
    members = Fields(value, name).object()
    if isinstance(version := members.get("version"), int) and version > VERSION:
        raise ValueError(f"its version is {version}, of a later dhr; update dhr")
    found = {}
    for member in _members(cls):  # type: ignore[arg-type]
        path = f"{name}.{member.name}" if name else member.name
        try:
            if member.name in members:
                found[member.name] = _parsed(member.hint, members[member.name], path, lenient)
            elif member.required:
                raise ValueError(f"{path}: expected, but it is missing")
        except ValueError:
            if not lenient:
                raise
            if member.required:
                found[member.name] = _nothing(member.hint)
    return cls(**found)


class _Member(NamedTuple):
    """A field of a record."""

    name: str
    hint: Any
    required: bool


@cache  # a data set has a record for each photograph
def _members(cls: type) -> tuple[_Member, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _Member(one.name, hints[one.name], one.default is MISSING and one.default_factory is MISSING)
        for one in fields(cls)
    )


def to_json(record: Any) -> Any:
    """Convert a record to a JSON value; members that are None are left out."""
    if is_dataclass(record):
        return {one.name: to_json(value) for one in fields(record) if (value := getattr(record, one.name)) is not None}
    if isinstance(record, Mapping):
        return {str(key): to_json(value) for key, value in record.items()}
    return [to_json(value) for value in record] if isinstance(record, tuple | list) else record


@cache
def inner(hint: Any) -> tuple[Any, Limits | None, bool]:
    """Return a type without its limits and without None; its limits; whether it may be None."""
    limits, optional = None, False
    if get_origin(hint) in (Union, UnionType):
        optional = NoneType in get_args(hint)
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if get_origin(hint) is Annotated:
        hint, limits = get_args(hint)
    return hint, limits, optional


def _parsed(hint: Any, value: Any, name: str, lenient: bool) -> Any:
    hint, limits, optional = inner(hint)
    if hint is Any or (optional and value is None):
        return value
    if hint is str:
        return as_text(value, name, _LONGEST)
    if hint is bool:
        return Fields({name: value}).flag(name)
    if hint is int:
        low, high = (limits.low, limits.high) if limits else (0, 1 << 40)
        return as_whole(value, int(low), int(high), name)
    if hint is float:
        return as_number(value, limits.low, limits.high, name) if limits else as_number(value, name=name)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{name}: expected {' or '.join(get_args(hint))}; got {str(value)[:40]!r}")
        return value
    if get_origin(hint) is tuple:
        return _entries(hint, value, name, lenient)
    if get_origin(hint) is Mapping:
        _, kind = get_args(hint)
        pairs = Fields(value, name).object().items()
        return {key: one for key, entry in pairs for one in _one(kind, entry, f"{name}.{key}", lenient)}
    return parse_record(hint, value, lenient=lenient, name=name)


def _entries(hint: Any, value: Any, name: str, lenient: bool) -> tuple[Any, ...]:
    kinds = get_args(hint)
    entries = Fields({name: value}).entries(name, _MOST)
    if kinds[-1] is Ellipsis:
        return tuple(one for entry in entries for one in _one(kinds[0], entry, name, lenient))
    if len(entries) != len(kinds):
        raise ValueError(f"{name}: expected {len(kinds)} entries, got {len(entries)}")
    return tuple(_parsed(kind, entry, name, lenient) for kind, entry in zip(kinds, entries, strict=True))


def _one(hint: Any, value: Any, name: str, lenient: bool) -> list[Any]:
    """Return an entry as a list of one; an empty list for a damaged one if ``lenient``."""
    try:
        return [_parsed(hint, value, name, lenient)]
    except ValueError:
        if lenient:
            return []
        raise


def _nothing(hint: Any) -> Any:
    hint, _, optional = inner(hint)
    if optional:
        return None
    simple = {str: "", int: 0, float: 0.0, bool: False, tuple: (), Mapping: {}}
    return simple.get(hint, simple.get(get_origin(hint)))
