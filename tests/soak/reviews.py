"""Kills the server of the page for review while decisions are sent: what it acknowledged is there, and whole."""

import json
import os
import random
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from dhr.corrections import Corrections
from dhr.data import read_mask

from ..conftest import Ended
from .calls import Call, check_whole
from .session import Session

_CALL = Call(
    lambda root: ["review", "--run", f"{root}/out", "--data", f"{root}/data", "--no-open-browser", "--port", "0"],
    ("out",),
)
_STATES = ("accepted", "rejected", "mended", "skipped")


Wish = tuple[int, str, int]
"""A photograph's number, a state, and the seed of what is drawn."""


@dataclass(frozen=True)
class Done:
    """A decision that the server has acknowledged."""

    name: str
    state: str
    drawn: np.ndarray | None


def review(session: Session, seed: int) -> Counter[str]:
    """Send decisions until the server is killed, start it again, and send the rest."""
    chance = random.Random(seed)
    place, moment = session.place(), chance.randint(1, 200)
    wishes = [(number, chance.choice(_STATES), chance.randrange(10**6)) for number in (0, 1, 2, 0, 1)]
    done, ended = _decide(session, place, wishes, watch="moments", kill_at=moment)
    at = f"{ended.trace[-1] if ended.trace else 'at once'}, {len(done)} of {len(wishes)} decisions"
    assert ended.code in (0, -signal.SIGKILL), f"{at}: {ended.err}"
    check_whole(place, _CALL)
    _compare(place, done, maybe=len(done) < len(wishes), at=at)
    rest, again = _decide(session, place, wishes[len(done) :])
    assert again.code == 0, f"{at}: {again.err}"
    assert len(done) + len(rest) == len(wishes), f"{at}: {again.err}"
    _compare(place, [*done, *rest], maybe=False, at=at)
    return Counter({"rounds": 1, "killed": int(ended.code < 0), "decisions": len(wishes)})


def _compare(place: Path, done: list[Done], maybe: bool, at: str) -> None:
    """Assert that each photograph has its last decision; ``maybe`` one that was not acknowledged has followed."""
    store, others = Corrections.of(place / "out"), 0
    for name, last in {one.name: one for one in done}.items():
        found = store.read(name)
        assert found is not None, f"{at}: the decision on {name} is lost"
        if found.state != last.state or (last.drawn is not None and not np.array_equal(store.mask(name), last.drawn)):
            others += 1
    for name in store.names():
        found = store.read(name)
        assert found is not None and found.state in _STATES, f"{at}: {name} has half a decision"
        if found.state == "mended":
            assert read_mask(place / "out" / "masks" / f"{name}.png").shape == store.mask(name).shape, at
    assert others <= int(maybe), f"{at}: {others} decisions are others than those acknowledged"


def _decide(session: Session, place: Path, wishes: list[Wish], **job: Any) -> tuple[list[Done], Ended]:
    """Send decisions; return those that were acknowledged, and how the server ended."""
    folder, done = session.forks.begin(_CALL.arguments(place), **job), list[Done]()
    try:
        url = _address(folder)
        for number, state, seed in wishes:
            page = json.loads(_asked(f"{url}api/photographs/{number}"))
            decision, drawn = {"state": state, "revision": page["revision"]}, None
            if state == "mended":
                tag = page["tags"][0]
                drawn = np.random.default_rng(seed).choice(np.uint8([tag, 255]), (page["height"], page["width"]))
                headers = {"X-Decision": json.dumps(decision)}
                _asked(f"{url}api/photographs/{number}/save", drawn.tobytes(), headers)
            else:
                _asked(f"{url}api/photographs/{number}/decide", json.dumps(decision).encode())
            done.append(Done(page["name"], state, drawn))
        os.kill(int((folder / "pid").read_text()), signal.SIGINT)
    except (ConnectionError, urllib.error.URLError, HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            raise AssertionError(f"{error}: {error.read()[:500]!r}") from error
        # Otherwise it was killed: that is what the round is for.
    return done, session.forks.end()


def _asked(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, body, {"X-Review": "1", **(headers or {})})
    with urllib.request.urlopen(request, timeout=120) as answer:
        content: bytes = answer.read()
        return content


def _address(folder: Path) -> str:
    """Wait for the address that the server prints; raise ConnectionError if it ended before."""
    while True:
        lines = (folder / "stdout").read_text().splitlines(keepends=True) if (folder / "stdout").exists() else []
        for line in lines:
            if line.startswith("http") and line.endswith("\n"):
                return line.strip()
        number = (folder / "pid").read_text() if (folder / "pid").exists() else ""
        if number:
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                raise ConnectionError("it has ended") from None
        time.sleep(0.005)
