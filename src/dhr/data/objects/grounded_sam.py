"""JSON of Grounded-SAM and Grounded-SAM-2: a file per photograph."""

from typing import Any

from dhr.data.coco_objects import coco_object, whole_size
from dhr.data.objects.record import Found, Parts, box, score
from dhr.data.outlines import Size
from dhr.parsing import Fields


def read_grounded_sam(value: Any) -> list[Found] | None:
    """Return the objects of a file; None if it is of another format.

    Grounded-SAM-2 writes `annotations` with `class_name`, `bbox`, `segmentation` (run lengths) and `score`.
    Grounded-SAM writes a list, or `mask` with a list, of `label`, `logit` and `box`; its pictures of masks are drawings
    in colour, so the boxes are used.

    Raises ValueError if an object cannot be read.
    """
    if isinstance(value, dict) and isinstance(value.get("annotations"), list) and "images" not in value:
        return _second(value)
    listed = value.get("mask") if isinstance(value, dict) else value
    if isinstance(listed, list) and listed and all(isinstance(one, dict) and "value" in one for one in listed):
        return [one for number, entry in enumerate(listed) for one in _first(entry, f"entry {number}")]
    return None


def _second(value: dict[str, Any]) -> list[Found]:
    drawn = whole_size(value.get("img_height"), value.get("img_width"))
    kind = value.get("box_format", "xyxy")
    if kind not in ("xyxy", "xywh"):
        raise ValueError(f"expected box_format xyxy or xywh, got {str(kind)[:40]!r}")
    found = []
    for number, one in enumerate(value["annotations"], start=1):
        place = f"annotation {number}"
        try:
            found.append(_annotation(one, place, drawn, kind == "xywh"))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return found


def _annotation(value: Any, place: str, drawn: Size | None, wide: bool) -> Found:
    fields = Fields(value)
    label, sure = fields.text("class_name", 300), score(value.get("score"))
    if value.get("segmentation") is None:
        return Found(label, box(fields.value("bbox"), wide=wide), sure, place, drawn)
    painted = coco_object(value, 0, place, drawn)
    if painted.missing is not None:
        raise ValueError(painted.missing)
    return Found(label, Parts(painted.outlines), sure, place, painted.drawn)


def _first(value: dict[str, Any], place: str) -> list[Found]:
    try:
        fields = Fields(value)
        if fields.whole("value", 0, 1_000_000) == 0:  # the background
            return []
        return [Found(fields.text("label", 300), box(fields.value("box")), score(value.get("logit")), place)]
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
