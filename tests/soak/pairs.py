"""Two processes on one output or store: each ends well or is told to wait, and the results are those of one."""

import random
from collections import Counter

from .calls import CALLS, check_whole, results
from .session import Session


def pair(session: Session, seed: int) -> Counter[str]:
    """Start the same call twice, and in some rounds kill one of them."""
    chance = random.Random(seed)
    name = [*CALLS][seed % len(CALLS)]
    call, (expected, moments) = CALLS[name], session.undisturbed(name, "moments")
    place, moment = session.place(), chance.choice([0, chance.randint(1, moments)])
    ended = session.forks(call.arguments(place), watch="moments", kill_at=moment, processes=2, ranks=False)
    at = f"{name}, killed at {moment}: {ended.codes}: {ended.errors}"
    check_whole(place, call)
    for code, line in zip(ended.codes, ended.errors, strict=True):
        assert code in (0, 2, -9), at
        assert code != 2 or (line.startswith("dhr: ") and line.count("\n") == 1), at
    assert moment or 0 in ended.codes, at
    if 0 in ended.codes and -9 not in ended.codes:
        assert results(place, call) == expected, f"{at}: other results"
    again = session.forks(call.arguments(place))
    assert again.code == 0, f"{at}: afterwards {again.err}"
    assert results(place, call) == expected, f"{at}: other results afterwards"
    refused = ended.codes.count(2)
    return Counter({"rounds": 1, name: 1, "killed": int(-9 in ended.codes), "told to wait": refused})
