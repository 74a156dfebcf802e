"""Make class tables for formats that name classes but do not mention a background."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from dhr.data.background import BACKGROUND, is_background
from dhr.data.classes import enumeration
from dhr.data.samples import VOID, ClassTable
from dhr.errors import DataError


def class_of(name: str) -> str:
    """Return the name as it is compared: in Unicode's composed form, without blanks around it."""
    return unicodedata.normalize("NFC", name).strip()


def one_spelling(names: Iterable[str]) -> list[str]:
    """Return distinct names in the order of the alphabet; of names that differ only in case, the most frequent one.

    >>> one_spelling(["mug", "Jar", "jar", "jar"])
    ['jar', 'mug']
    """
    folded: dict[str, Counter[str]] = defaultdict(Counter)
    for name in names:
        folded[class_of(name).casefold()][class_of(name)] += 1
    return sorted(min(counts, key=lambda name: (-counts[name], name)) for counts in folded.values())


def table_of(names: Iterable[str], path: Path, background: str | None = BACKGROUND) -> ClassTable:
    """Make a table of a background, then ``names`` in their order; a background among them is the same one.

    ``background`` is its name, or None for a set without it. Raises DataError if there are no names or too many, one
    occurs twice, or one cannot be a tag: empty, with ``;`` (which joins tags) or control characters.
    """
    found: list[str] = []
    for name in names:
        clean = class_of(name)
        if not clean or ";" in clean or re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", clean):
            raise DataError(
                f"{path}: expected a class name without ';' and control characters, got {name!r}; rename the class"
            )
        if not is_background(clean):
            found.append(clean)
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise DataError(f"{path}: the class names {enumeration(twice)} occur twice; rename or join them")
    most = VOID - (background is not None)
    if not 1 <= len(found) <= most:
        raise DataError(f"{path}: expected 1 to {most} classes, got {len(found)}; correct them")
    return ClassTable((*(() if background is None else (background,)), *found), background is not None)


def class_ids(classes: ClassTable, names: Iterable[str]) -> dict[str, int]:
    """Return the id of each class by name; of the ``names`` of a file, those of the background mean class 0.

    >>> class_ids(ClassTable(("background", "cat"), True), ["_background_", "owl"])
    {'background': 0, 'cat': 1, '_background_': 0}
    """
    aliases = {name: 0 for name in names if is_background(name)} if classes.background else {}
    return {name: index for index, name in enumerate(classes.names)} | aliases
