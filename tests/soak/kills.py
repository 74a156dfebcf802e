"""Kills commands at any moment: no file is left that cannot be read, and nothing finished is lost."""

import random
import signal
from collections import Counter

from .calls import CALLS, check_whole, results, stamps, told
from .session import Session


def kill(session: Session, seed: int) -> Counter[str]:
    """Kill a command at a moment, and let the same call go on to its end."""
    chance = random.Random(seed)
    name = [*CALLS][seed % len(CALLS)]
    call, (expected, moments) = CALLS[name], session.undisturbed(name, "moments")
    place, moment = session.place(), chance.randint(1, moments)
    killed = session.forks(call.arguments(place), watch="moments", kill_at=moment)
    if killed.code == -signal.SIGKILL:
        check_whole(place, call)
        for file, content in results(place, call).items():
            final = file.endswith((".png", ".npz", ".safetensors")) and file in expected
            assert not final or content == expected[file], f"{name}, {killed.trace[-1]}: {file} has other content"
    else:  # threads end in another order, so that there were fewer moments
        told(killed)
    before = stamps(place, call)
    resumed = session.forks(call.arguments(place))
    assert resumed.code == 0, f"{name}, {killed.trace[-1]}: {resumed.err}"
    found = results(place, call)
    assert found == expected, f"{name}, {killed.trace[-1]}: {sorted(_other(found, expected))}"
    after = stamps(place, call)
    again = [file for file, stamp in before.items() if after.get(file) != stamp]
    assert not again, f"{name}, {killed.trace[-1]}: made again: {again}"
    return Counter({"rounds": 1, name: 1, "killed": int(killed.code < 0), "files kept": len(before)})


def _other(found: dict, expected: dict) -> set[str]:
    return {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)}
