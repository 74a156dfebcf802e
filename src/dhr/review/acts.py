"""Answers that decide, or let the networks work."""

from typing import Any

from starlette.responses import Response

from dhr.job.click import Click
from dhr.parsing import Fields, as_number
from dhr.review.answers import RefusedError, as_json, as_map
from dhr.review.bodies import MOST_JSON, parse_object
from dhr.review.decisions import Wish, drawn, parse_tags
from dhr.review.decisions import decide as store_decision
from dhr.review.decisions import save as store_mask
from dhr.review.desk import Asked, Desk, Endpoint
from dhr.review.looks import number_of, packed
from dhr.review.mending import FREE
from dhr.review.queue import UNDECIDED

_POINTS = 200
_HEADER = "x-decision"


def save(desk: Desk, asked: Asked) -> Response:
    """Store a mask that a person made or accepted."""
    wish = Wish.parse(_decision(asked), desk.photographs, ("accepted", "mended"))
    return as_json(store_mask(desk.photographs, number_of(asked), wish, asked.body))


def decide(desk: Desk, asked: Asked) -> Response:
    """Store a decision without a new mask."""
    fields = parse_object(asked.body, "the body")
    wish = Wish.parse(fields, desk.photographs, ("accepted", "rejected", "skipped", UNDECIDED))
    return as_json(store_decision(desk.photographs, number_of(asked), wish))


def prepare(desk: Desk, asked: Asked) -> Response:
    """Let the networks look at a photograph in the background."""
    found = desk.photographs.reviewable(number_of(asked))
    desk.mending.prepare(found.sample.name)
    return as_json({}, 202)


def refine(desk: Desk, asked: Asked) -> Response:
    """Make the mask again, with what a person drew held fixed."""
    found = desk.photographs.reviewable(number_of(asked))
    if not desk.mending.tools["refine"]:
        many = len(desk.photographs.classes.names)
        raise RefusedError(409, f"refine again works with up to {FREE} classes, this run has {many}; draw by hand")
    held = drawn(desk.photographs, found, asked.body, (FREE,))
    tags = parse_tags(_decision(asked), desk.photographs)
    made = desk.mending.refine(found.sample.name, found.tags if tags is None else tags, held)
    return as_map(desk.photographs.checked(found, made), packed(asked))


def click(desk: Desk, asked: Asked) -> Response:
    """Return the thing that clicks and a box show: 1 inside, else 0."""
    found = desk.photographs.reviewable(number_of(asked))
    if not desk.mending.tools["sam"]:
        raise RefusedError(409, "clicks need a network that segments anything: run with --boundary.kind sam")
    wish = _click(parse_object(asked.body, "the body"), found.size)
    return as_map(desk.mending.click(found.sample.name, wish).astype("uint8"), packed(asked))


def _of_size(desk: Desk, asked: Asked) -> int:
    height, width = desk.photographs.find(number_of(asked)).size
    return height * width


def _json(desk: Desk, asked: Asked) -> int:
    return MOST_JSON


ACTS = (
    Endpoint("/api/photographs/{id}/save", save, method="POST", most=_of_size),
    Endpoint("/api/photographs/{id}/decide", decide, method="POST", most=_json),
    Endpoint("/api/photographs/{id}/prepare", prepare, method="POST"),
    Endpoint("/api/photographs/{id}/refine", refine, "network", "POST", _of_size),
    Endpoint("/api/photographs/{id}/click", click, "network", "POST", _json),
)


def _decision(asked: Asked) -> Fields:
    return parse_object(asked.headers.get(_HEADER, ""), "the header X-Decision")


def _click(fields: Fields, size: tuple[int, int]) -> Click:
    """Read points and a box within the photograph."""
    height, width = size
    try:
        points = tuple(_point(one, width, height) for one in fields.entries("points", _POINTS))
        box = None
        if "box" in fields:
            box = tuple(_numbers(fields.entries("box", 4), (width, height, width, height), "box"))
        if not points and box is None:
            raise ValueError("points: expected at least one, or a box")
        if box is not None and not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError("box: expected left, top, right, bottom, with left < right and top < bottom")
    except ValueError as failure:
        raise RefusedError(422, str(failure)) from failure
    return Click(points, None if box is None else (box[0], box[1], box[2], box[3]))


def _point(value: Any, width: int, height: int) -> tuple[float, float, bool]:
    if not isinstance(value, list) or len(value) != 3 or value[2] not in (0, 1):
        raise ValueError("points: expected [x, y, true or false] for each")
    x, y = _numbers(value[:2], (width, height), "points")
    return x, y, bool(value[2])


def _numbers(values: Any, most: tuple[int, ...], name: str) -> list[float]:
    if len(values) != len(most):
        raise ValueError(f"{name}: expected {len(most)} numbers, got {len(values)}")
    return [as_number(value, 0, limit, name) for value, limit in zip(values, most, strict=True)]
