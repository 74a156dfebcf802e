"""What a person decides: checked, and stored as a correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dhr.corrections import Correction, State
from dhr.data.samples import VOID
from dhr.parsing import Fields, as_whole
from dhr.review.answers import RefusedError
from dhr.review.entries import present_digest
from dhr.review.photographs import Photograph, Photographs, present_ids
from dhr.review.queue import UNDECIDED, state_of

_LAST = (1 << 40) - 1  # revision
_STATES: Mapping[str, State] = {
    "accepted": "accepted", "mended": "mended", "rejected": "rejected", "skipped": "skipped"
}  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """A decision as the page sends it."""

    state: str
    revision: int
    """The revision that the page has seen; 0 for undecided."""
    tags: tuple[int, ...] | None
    """Class ids, sorted; None for the present ones."""

    @staticmethod
    def parse(fields: Fields, photographs: Photographs, states: Sequence[str]) -> "Wish":
        """Read a decision.

        Raises:
            RefusedError: a member is missing or wrong.
        """
        try:
            state = fields.text("state", 40)
            if state not in states:
                raise ValueError(f"state: expected one of {', '.join(states)}; got {state!r}")
            tags = parse_tags(fields, photographs, needed=state in ("accepted", "mended"))
            return Wish(state, fields.whole("revision", 0, _LAST), tags)
        except ValueError as failure:
            raise RefusedError(422, str(failure)) from failure


def parse_tags(fields: Fields, photographs: Photographs, needed: bool = True) -> tuple[int, ...] | None:
    """Read the member `tags`, a list of class ids; None if it is missing. It may be empty unless tags are ``needed``.

    Raises:
        RefusedError: it is something else, or holds an id that cannot be a tag.
    """
    if "tags" not in fields:
        return None
    classes = photographs.classes
    low, high = classes.foreground.start, classes.foreground.stop - 1
    try:
        tags = tuple(sorted({as_whole(one, low, high, "tags") for one in fields.entries("tags", VOID)}))
    except ValueError as failure:
        raise RefusedError(422, str(failure)) from failure
    if needed and not tags and not classes.background:
        raise RefusedError(422, "tags: expected at least one class, because there is no background; reject it instead")
    return tags


def decide(photographs: Photographs, number: int, wish: Wish) -> dict[str, Any]:
    """Store a decision without a new mask; return the answer for the page.

    Raises:
        RefusedError: the photograph is gone or changed, or the decision does not fit the mask.
        ConflictError: it was decided elsewhere meanwhile.
    """
    if wish.state == UNDECIDED:
        photograph = photographs.find(number)
        photographs.corrections.withdraw(photograph.sample.name, expected=wish.revision)
        return _answer(photographs, number)
    if wish.state == "accepted":
        photograph = photographs.reviewable(number)
        return _save(photographs, photograph, wish, photographs.mask(photograph))
    return _save(photographs, photographs.find(number), wish, None)  # it may be gone, or another one


def save(photographs: Photographs, number: int, wish: Wish, body: bytes) -> dict[str, Any]:
    """Store a mask that the page sends, row by row; return the answer for the page; raises as :func:`decide`."""
    photograph = photographs.reviewable(number)
    mask = drawn(photographs, photograph, body, ())
    return _save(photographs, photograph, wish, mask)


def drawn(
    photographs: Photographs, photograph: Photograph, body: bytes, more: Sequence[int]
) -> UInt8[np.ndarray, "h w"]:
    """Return a map that the page sends, which holds class ids, void and ``more``.

    Raises:
        RefusedError: it has another size, or holds other numbers.
    """
    height, width = photograph.size
    if len(body) != height * width:
        raise RefusedError(422, f"expected {width}x{height} pixels, {height * width} bytes; got {len(body)} bytes")
    found: UInt8[np.ndarray, "h w"] = np.frombuffer(body, np.uint8).reshape(height, width)  # (h, w)
    if strange := present_ids(found) - {*range(len(photographs.classes.names)), VOID, *more}:
        raise RefusedError(422, f"expected class ids and {VOID} for void, got {min(strange)}, which is not a class id")
    return found


def _save(
    photographs: Photographs, photograph: Photograph, wish: Wish, mask: UInt8[np.ndarray, "h w"] | None
) -> dict[str, Any]:
    names, sample, item = photographs.classes.names, photograph.sample, photograph.item
    tags = photograph.tags if wish.tags is None else wish.tags
    shown = set() if mask is None else present_ids(mask) - {VOID}
    if untagged := sorted(shown - {*tags, *range(photographs.classes.foreground.start)}):
        lost = ", ".join(names[one] for one in untagged)
        raise RefusedError(422, f"the mask of {sample.name} shows {lost}, which is not a tag; add the tag, or erase it")
    correction = Correction(
        state=_STATES[wish.state],
        digest=item.digest if mask is not None else present_digest(photographs.run.data, sample, item),
        given=tuple(names[tag] for tag in sample.tags),
        tags=tuple(names[tag] for tag in tags),
        labels={names[one]: one for one in sorted(shown | {*tags})},
    )
    store, stroke = photographs.corrections, photographs.is_stroke(photograph.number, wish.revision)
    before = store.read(sample.name)
    saved = store.save(sample.name, correction, mask, photographs.palette, expected=wish.revision, stroke=stroke)
    if stroke or (mask is not None and (before is None or saved.mask != before.mask)):
        photographs.drew(photograph.number, saved.revision)
    return _answer(photographs, photograph.number)


def _answer(photographs: Photographs, number: int) -> dict[str, Any]:
    found = photographs.find(number)
    return {"state": state_of(found.decision), "revision": found.revision, "counts": photographs.counts()}
