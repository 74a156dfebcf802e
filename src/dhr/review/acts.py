"""Answers that decide, or let the networks work."""

from starlette.responses import Response

from dhr.parsing import Fields
from dhr.review.answers import as_json
from dhr.review.bodies import MOST_JSON, parse_object
from dhr.review.decisions import Wish
from dhr.review.decisions import decide as store_decision
from dhr.review.decisions import save as store_mask
from dhr.review.desk import Asked, Desk, Endpoint
from dhr.review.looks import number_of
from dhr.review.queue import UNDECIDED

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


def _of_size(desk: Desk, asked: Asked) -> int:
    height, width = desk.photographs.find(number_of(asked)).size
    return height * width


def _json(desk: Desk, asked: Asked) -> int:
    return MOST_JSON


ACTS = (
    Endpoint("/api/photographs/{id}/save", save, method="POST", most=_of_size),
    Endpoint("/api/photographs/{id}/decide", decide, method="POST", most=_json),
)


def _decision(asked: Asked) -> Fields:
    return parse_object(asked.headers.get(_HEADER, ""), "the header X-Decision")
