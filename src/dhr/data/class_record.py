"""Write and read the class table of ``dhr export`` beside masks of other formats, which hold only names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dhr.data.background import is_background
from dhr.data.class_names import class_of, table_of
from dhr.data.classes import read_text
from dhr.data.json_text import parse_json
from dhr.data.samples import ClassTable
from dhr.errors import DataError

RECORD = "dhr"
"""Key of the record in COCO's JSON and YOLO's ``data.yaml``; other programs ignore it."""

RECORD_FILE = "dhr.json"
"""File of the record in folders of formats that cannot hold it."""

_MOST = 1_000_000  # bytes


def class_record(classes: ClassTable) -> dict[str, Any]:
    """Return the data that a reader needs to make the same table: all names in order, and whether the first is
    background.

    >>> class_record(ClassTable(("background", "cat"), background=True))
    {'classes': ['background', 'cat'], 'background': True}
    """
    return {"classes": list(classes.names), "background": classes.background}


def recorded_table(record: Any, names: Sequence[str], path: Path) -> ClassTable:
    """Make the class table of the ``names`` in a file, in the order and with the background of a usable record.

    Another program may have changed the names since; those that the record lacks come last. Raises DataError as
    :func:`~dhr.data.class_names.table_of`.

    >>> recorded_table({"classes": ["sky", "sea"], "background": False}, ["sea", "fog", "sky"], Path("a.json")).names
    ('sky', 'sea', 'fog')
    """
    fields = record if isinstance(record, dict) else {}
    classes, background = fields.get("classes"), fields.get("background")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        return table_of(names, path)
    if not isinstance(background, bool) or (background and not (classes and is_background(classes[0]))):
        return table_of(names, path)
    places = {class_of(name): place for place, name in reversed(list(enumerate(classes)))}
    order = sorted(names, key=lambda name: places.get(class_of(name), len(classes)))
    return table_of(order, path, class_of(classes[0]) if background else None)


def read_record(root: Path) -> dict[str, Any]:
    """Read :data:`RECORD_FILE` of a folder; return an empty dictionary if it is missing or is something else."""
    path = root / RECORD_FILE
    if not path.is_file():
        return {}
    try:
        value = parse_json(read_text(path, _MOST))
    except (DataError, ValueError):  # other programs may have such a file as well
        return {}
    return value if isinstance(value, dict) else {}
