"""The queue: which photographs, in which order, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from dhr.data.samples import ClassTable
from dhr.review.answers import RefusedError
from dhr.review.entries import Decision, Entries, Entry
from dhr.words import counted

UNDECIDED = "undecided"
STATES = (UNDECIDED, "accepted", "mended", "rejected", "skipped")
Order = Literal["doubtful", "name"]
_MOST = 500  # photographs of one answer
_FAR = 1_000_000_000
_SEARCH = 200  # characters
_LOW = (0.05, 0.1, 0.2, 0.4)  # shares that the reason names


@dataclass(frozen=True)
class Wanted:
    """The part of the queue that a page asks for."""

    offset: int = 0
    limit: int = 100
    state: str = ""
    """One of :data:`STATES`; empty for all."""
    tag: int | None = None
    """Only photographs with this tag."""
    search: str = ""
    """Only photographs whose name contains it."""
    order: Order = "doubtful"

    @staticmethod
    def parse(query: Mapping[str, str], classes: ClassTable) -> "Wanted":
        """Read the query of an address.

        Raises:
            RefusedError: a value cannot be used.
        """
        state, order, search = query.get("state", ""), query.get("order", "doubtful"), query.get("search", "")
        if state and state not in STATES:
            raise RefusedError(422, f"state: expected one of {', '.join(STATES)}; got {state[:40]!r}")
        if order not in get_args(Order):
            raise RefusedError(422, f"order: expected {' or '.join(get_args(Order))}; got {order[:40]!r}")
        if len(search) > _SEARCH:
            raise RefusedError(422, f"search: expected at most {_SEARCH} characters, got {len(search)}")
        return Wanted(
            _whole(query, "offset", 0, _FAR, 0),
            _whole(query, "limit", 0, _MOST, 100),
            state,
            _whole(query, "class", 0, len(classes.names) - 1, 0) if query.get("class") else None,
            search.casefold(),
            "name" if order == "name" else "doubtful",
        )


def chosen(wanted: Wanted, entries: Entries, decisions: Mapping[int, Decision]) -> Int64[np.ndarray, " n"]:
    """Return the places of the photographs that a filter keeps, in order, without touching files."""
    found = entries.by_name if wanted.order == "name" else entries.by_doubt
    if wanted.state == UNDECIDED:
        found = found[~np.isin(found, [n for n, one in decisions.items() if state_of(one) != UNDECIDED])]
    elif wanted.state:
        found = found[np.isin(found, [n for n, one in decisions.items() if state_of(one) == wanted.state])]
    samples, tag, text = entries.samples, wanted.tag, wanted.search
    if tag is not None:
        found = found[[tag in (decisions.get(number) or samples[number]).tags for number in found.tolist()]]
    if text:
        found = found[[text in samples[number].name.casefold() for number in found.tolist()]]
    return found


def state_of(decision: Decision | None) -> str:
    """Return the state of a photograph; an outdated decision counts as undecided."""
    return UNDECIDED if decision is None or decision.outdated else decision.state


def reason(entry: Entry, classes: ClassTable) -> str:
    """Tell in a few plain words why a mask is worth a look."""
    words = []
    if entry.vanished:
        names = ", ".join(classes.names[number] for number in entry.vanished)
        words.append(f"{counted(len(entry.vanished), 'class', 'classes')} vanished: {names}")
    if entry.lowest is not None:
        low = next((share for share in _LOW if entry.lowest <= share), None)
        words.append(f"lowest {100 * low:.0f}\xa0% in quality" if low else "quality not low")
    return "; ".join(words)


def _whole(query: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (len(text) <= len(str(high)) and text.isascii() and text.isdecimal() and low <= int(text) <= high):
        raise RefusedError(422, f"{name}: expected a whole number, {low} to {high}; got {text[:40]!r}")
    return int(text)
