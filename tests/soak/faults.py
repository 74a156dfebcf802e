"""Injects faults of the system: a code of dhr, the path in one line, and every old file whole."""

import random
from collections import Counter
from pathlib import Path

from .calls import CALLS, check_whole, results, told
from .session import Session

KINDS = ("ENOSPC", "EIO", "EROFS", "EDQUOT", "EMFILE", "short")
_OLD = {"evaluate": {"scores.json": b"{}\n", "scores.csv": b"mine\n", "out/report.html": b"mine</html>"}}
"""Files that are there before the call, and may only be replaced as a whole."""
_READS = ("EIO", "EMFILE")
"""Faults that meet readers too."""


def fault(session: Session, seed: int) -> Counter[str]:
    """Let one operation on a file fail, or all from one on, then let the same call go on."""
    chance = random.Random(seed)
    name, kind = [*CALLS][seed % len(CALLS)], KINDS[seed // len(CALLS) % len(KINDS)]
    lasting, reads = kind != "short" and chance.random() < 0.5, kind in _READS and chance.random() < 0.5
    watch = "faults and reads" if reads else "faults"
    call, (expected, count) = CALLS[name], session.undisturbed(name, watch)
    place, number = session.place(), chance.randint(1, count)
    old = _OLD.get(name, {}) if chance.random() < 0.5 else {}
    for file, content in old.items():
        (place / file).write_bytes(content)
    disturbed = {"watch": watch, "root": str(place), "fault": kind, "fault_at": number, "lasting": lasting}
    ended = session.forks(call.arguments(place), **disturbed)
    at = f"{name}, {kind}{' for good' * lasting} at {number}: {ended.trace[-1] if ended.trace else 'nowhere'}"
    try:
        told(ended)
        check_whole(place, call)
        if ended.code == 2:
            _named(ended.err, ended.trace, place)
        elif ended.code == 0 and not reads:
            found = results(place, call)
            lost = sorted(file for file in expected if found.get(file) != expected[file])
            assert not lost or name == "features", f"it ended with 0, but lacks {lost}"
        for file, content in results(place, call).items():
            final = file.endswith((".png", ".npz", ".safetensors")) and file in expected
            assert not final or content == expected[file], f"{file} has other content"
        for file, content in old.items():
            kept = (place / file).read_bytes() == content
            assert kept or file.endswith(".html") or results(place, call)[file] == expected[file], f"{file} is lost"
        again = session.forks(call.arguments(place))
        assert again.code == 0, f"afterwards: {again.err}"
        assert results(place, call) == expected, "afterwards the results are others"
    except AssertionError as error:
        raise AssertionError(f"{at}: code {ended.code}: {error} | {ended.err[-500:]}") from None
    return Counter({"rounds": 1, kind: 1, name: 1, f"code {ended.code}": 1, "over an old file": int(bool(old))})


def _named(line: str, trace: tuple[str, ...], place: Path) -> None:
    """Assert that the line names a path of the fault: the file, the one it replaces, or their folder.

    A file may be named by the folder of all masks, and by its own name in it.
    """
    failed = [one.partition(" ")[2] for one in trace if one.startswith("failed ")]
    assert failed, "it failed, but no fault was injected"
    paths = {str(folder) for one in failed for folder in (Path(one), Path(one).parent) if folder != place.parent}
    parts = [
        (str(above), str(Path(one).relative_to(above).with_suffix(""))) for one in failed for above in Path(one).parents
    ]
    named = any(path in line for path in paths) or any(folder in line and name in line for folder, name in parts)
    assert named, f"the line names none of {sorted(paths)[:5]}"
