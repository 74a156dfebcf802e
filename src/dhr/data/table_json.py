"""Class tables in the metadata of files: of manifests, rows and students."""

from typing import Any

from dhr.data.samples import VOID, ClassTable
from dhr.parsing import Fields, as_whole
from dhr.words import printable

_LONGEST = 1000  # characters of a name


def table_members(classes: ClassTable) -> dict[str, Any]:
    """Return the members of a record that :func:`parsed_table` reads."""
    return {
        "classes": [*classes.names],
        "background": classes.background,
        "supers": None if classes.supers is None else [*classes.supers],
        "colours": None if classes.colours is None else [[*colour] for colour in classes.colours],
    }


def parsed_table(record: Fields) -> ClassTable:
    """Return the class table that a record holds.

    >>> parsed_table(Fields({"classes": ["background", "cat"], "background": True})).names
    ('background', 'cat')

    Raises:
        ValueError: a member is missing or of another kind, or the names cannot be classes.
    """
    names, background = record.texts("classes", VOID), record.flag("background")
    if len(names) <= background:
        raise ValueError("classes: expected one name or more besides the background")
    for name in names:
        if not name.strip() or printable(name) != name or len(name) > _LONGEST:
            raise ValueError(f"classes: expected names of one line, got {name[:40]!r}")
    if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
        raise ValueError(f"classes: {twice!r} occurs twice")
    supers = record.texts("supers", VOID) if "supers" in record else None
    colours = tuple(_colour(one) for one in record.entries("colours", VOID)) if "colours" in record else None
    for member, found in (("supers", supers), ("colours", colours)):
        if found is not None and len(found) != len(names):
            raise ValueError(f"{member}: expected {len(names)}, one for each class, got {len(found)}")
    return ClassTable(names, background, supers, colours)


def _colour(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("colours: expected three numbers each")
    red, green, blue = (as_whole(one, 0, 255, "colours") for one in value)
    return red, green, blue
