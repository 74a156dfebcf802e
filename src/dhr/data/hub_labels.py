"""Read labels of Hugging Face's data sets: class labels, texts, numbers, lists of 0 and 1, objects with a category."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from dhr.data.classes import enumeration
from dhr.data.samples import ClassTable
from dhr.errors import DataError
from dhr.words import counted

_CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class", "classes", "class_label", "name")
_EXPECTED = "expected texts or class labels as tags"
_UNLABELLED = "is unlabelled; label it, or remove the row"
_REMEDY = "or cast the column to ClassLabel, which has names"


@dataclass(frozen=True)
class Label:
    """The names of one row's classes, or why there are none."""

    names: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Labels:
    """The content of a column."""

    rows: Mapping[str, Sequence[Label]]
    """By split."""
    known: tuple[str, ...] | None
    """The names of the classes in their order, where the column has them."""
    note: str | None = None
    """Notes on the reading of numbers."""


def read_labels(where: str, feature: Any, columns: Mapping[str, Iterable[Any]], classes: ClassTable | None) -> Labels:
    """Read a column of labels.

    Args:
        where: data set and column, for messages.
        feature: the column's type, of the package ``datasets``.
        columns: its values, by split.
        classes: those of ``classes.txt``, which name plain numbers (counting the classes without the background from 0)
            and places of 0 and 1.

    Raises DataError for numbers without names.
    """
    leaf, key = _leaf(where, feature)
    names = getattr(leaf, "names", None)
    known = None if names is None else tuple(str(name) for name in names)
    values = {split: [_values(row, key) for row in column] for split, column in columns.items()}
    if known is not None:
        return Labels({split: [_of_values(row, known) for row in rows] for split, rows in values.items()}, known)
    own = None if classes is None else tuple(classes.names[index] for index in classes.foreground)
    every = [row for rows in values.values() for row in rows if row is not None]
    whole = str(getattr(leaf, "dtype", "")).startswith(("int", "uint"))
    in_list = key is None and leaf is not feature
    if in_list and (width := _width(every, whole)):
        own = _placed(where, own, width)
        made = {split: [_of_places(row, own) for row in rows] for split, rows in values.items()}
        return Labels(made, own, f"{where} has a 0 or 1 for each class of classes.txt, in its order")
    numbers = [one for row in every for one in row if _is_number(one)]
    if not numbers or (in_list and not whole) or any(isinstance(one, str) for row in every for one in row):
        return Labels({split: [_of_values(row, None) for row in rows] for split, rows in values.items()}, None)
    own = _numbered(where, own, [number for number in numbers if number == int(number)])
    made = {split: [_of_values(row, own) for row in rows] for split, rows in values.items()}
    first = "" if own is None else f": 0 is {own[0]!r}"
    return Labels(made, None, f"numbers in {where} count the classes of classes.txt without the background{first}")


def category_of(feature: Any) -> str | None:
    """Return the field of a column of objects that names their class; None if there is none."""
    inner = _inside(feature)
    return next((key for key in _CATEGORIES if key in inner), None) if isinstance(inner, dict) else None


def _inside(feature: Any) -> Any:
    """Return the type inside of lists."""
    while not isinstance(feature, dict) and hasattr(feature, "feature"):
        feature = feature.feature
    return feature


def _leaf(where: str, feature: Any) -> tuple[Any, str | None]:
    """Return the type of a single label; for objects, also the field that holds it."""
    inner = _inside(feature)
    if not isinstance(inner, dict):
        return inner, None
    if (key := category_of(feature)) is None:
        raise DataError(
            f"{where} holds objects with {enumeration(inner)}; expected one of {', '.join(_CATEGORIES)} among them; "
            "rename it"
        )
    return _inside(inner[key]), key


def _values(row: Any, key: str | None) -> Any:
    """Return the labels of a row as a list; None if it has none."""
    if row is None:
        return None
    if key is not None:
        row = row.get(key) if isinstance(row, dict) else [one.get(key) if one else None for one in row]
    return list(row) if isinstance(row, list | tuple) else [row]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _width(rows: Sequence[list[Any]], whole: bool) -> int:
    """Return the number of classes if lists have a 0 or 1 for each; 0 if they hold numbers of classes."""
    full = [row for row in rows if None not in row]
    if not full or len({len(row) for row in full}) != 1:
        return 0
    if not all(isinstance(one, Real) and one in (0, 1) for row in full for one in row):
        return 0
    width = len(full[0])
    return 0 if whole and width == 1 else width  # lists of one whole number each are numbers of classes


def _placed(where: str, names: tuple[str, ...] | None, width: int) -> tuple[str, ...]:
    """Return the names for lists of ``width`` places; raise DataError if their number differs."""
    if names is None or len(names) != width:
        there = (
            "nothing names them" if names is None else f"classes.txt names {counted(len(names), 'class', 'classes')}"
        )
        raise DataError(
            f"{where} holds lists of {width} numbers 0 and 1, one for each class, but {there}; write classes.txt with "
            f"a first line background and {width} names in the order of the lists"
        )
    return names


def _of_places(row: Any, names: Sequence[str]) -> Label:
    if row is None or None in row:
        return Label((), f"its list of labels is missing or has gaps, so it {_UNLABELLED}")
    return Label(tuple(name for name, there in zip(names, row, strict=True) if there))


def _numbered(where: str, names: tuple[str, ...] | None, numbers: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names for numbers from 0; raise DataError if there are none, or the numbers do not count from 0."""
    if not numbers:
        return names
    low, high = int(min(numbers)), int(max(numbers))
    if names is None:
        raise DataError(
            f"{where} holds numbers ({low} to {high}) without names; write classes.txt with a first line background "
            f"and the names of 0, 1, 2 ... in this order, {_REMEDY}"
        )
    if high >= len(names) or low < -1:
        many = counted(len(names), "class", "classes")
        raise DataError(
            f"{where} holds numbers {low} to {high}, but classes.txt names {many} besides the "
            f"background, which count from 0; correct one of them, {_REMEDY}"
        )
    return names


def _of_values(row: Any, names: Sequence[str] | None) -> Label:
    if row is None:
        return Label((), f"its label is missing, so it {_UNLABELLED}")
    found = []
    for one in row:
        if one is None or one == "" or (isinstance(one, float) and math.isnan(one)):
            return Label((), f"its label is missing, so it {_UNLABELLED}")
        if isinstance(one, str):
            found.append(one.strip())
        elif _is_number(one) and one == int(one) and names is not None:
            if not 0 <= one < len(names):
                why = "means that it" if one == -1 else f"is outside the {len(names)} classes, so it"
                return Label((), f"its label {int(one)} {why} {_UNLABELLED}")
            found.append(names[int(one)])
        else:
            return Label((), f"{_EXPECTED}, got {str(one)[:40]!r}; correct them")
    return Label(tuple(found))
