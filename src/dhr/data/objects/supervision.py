"""JSON of supervision's sink, which autodistill's detections can be written with: a list of boxes."""

from typing import Any

from dhr.data.objects.record import Found, box, score
from dhr.parsing import Fields

_SIDES = ("x_min", "y_min", "x_max", "y_max")


def read_supervision(value: Any) -> list[Found] | None:
    """Return the boxes of a file, with `confidence` and `class_name`; None if it is of another format.

    Raises ValueError if a box cannot be read.
    """
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) and "x_min" in one for one in value):
        return None
    found = []
    for number, one in enumerate(value, start=1):
        place = f"entry {number}"
        try:
            label = Fields(one).text("class_name", 300)
            sides = [_number(one.get(side)) for side in _SIDES]
            found.append(Found(label, box(sides), score(_number(one.get("confidence"))), place))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return found


def _number(value: Any) -> Any:
    """Return a number that was written as text; everything else as it is. An empty text is None."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value
