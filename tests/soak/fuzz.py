"""Gives each reader files that were changed: errors of dhr only, in bounded memory, and nothing is executed."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

from .session import Session
from .targets import TARGETS

SECONDS = 30.0
"""Of one round."""


def fuzz(session: Session, seed: int) -> Counter[str]:
    """Fuzz one kind of file for half a minute, from where an earlier round ended."""
    name = [*TARGETS][seed % len(TARGETS)]
    place = session.kept / "fuzz" / name.replace(" ", "-")
    known = {*place.glob("found/*.txt")}
    place.mkdir(parents=True, exist_ok=True)
    (place / "counts.json").unlink(missing_ok=True)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak.fuzz_process", name, str(place), str(SECONDS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(session.root)},
    )
    for left in session.root.glob("fuzz-*"):  # libFuzzer ends the process without a word
        shutil.rmtree(left, ignore_errors=True)
    assert ended.returncode == 0, f"{name}: code {ended.returncode}: {ended.stderr[-1500:]}"
    counted = json.loads((place / "counts.json").read_text())
    new = sorted({*place.glob("found/*.txt")} - known)
    texts = [f"{path.with_suffix('')}: {path.read_text()[-600:]}" for path in new]
    assert not new, f"{name}: {len(new)} new ends: " + " | ".join(texts)
    counts = Counter({f"{name} {'guided' if counted['guided'] else 'by chance'}": counted["counts"]["inputs"]})
    return counts + Counter(
        {"rounds": 1, "inputs": counted["counts"]["inputs"], "read": counted["counts"].get("read", 0)}
    )
