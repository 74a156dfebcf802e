"""``python -m tests.mutants``: changes one place of a module at a time, and counts which changes the tests notice.

The changes are those of cosmic-ray. Its runner would import PyTorch again for each change. mutmut runs the whole suite
first, and leaves decorated functions out.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path

from .changes import Change, changes_of
from .equivalent import EQUIVALENT
from .process import Processes
from .record import KILLED, SURVIVED, Outcome, Record
from .tests_of import TESTS, digest

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Try changes in an order that depends on the seed alone, until the time is over; 1 if too few were noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--file", type=Path, default=Path("build/mutants/mutants.json"), help="is added to")
    parser.add_argument("--modules", nargs="+", choices=TESTS, default=[*TESTS], help="such as ops/transport.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=85.0, help="per cent that must be noticed")
    chosen = parser.parse_args()
    end = time.monotonic() + chosen.minutes * 60
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    record = Record.read(chosen.file)
    found = [change for module in chosen.modules for change in changes_of(ROOT / "src" / "dhr", module)]
    random.Random(chosen.seed).shuffle(found)
    left = [change for change in found if _is_new(change, record)]
    with Processes(ROOT, chosen.file.absolute().parent) as processes:
        for change in left:
            if time.monotonic() > end:
                break
            outcome = processes.outcome(change, TESTS[change.module])
            record.outcomes[change.key] = Outcome(
                change.module, change.line, change.text, change.source, digest(ROOT, change.module), outcome
            )
            record.write()
            print(f"{outcome}: {change}", flush=True)
    return _report(record, found, chosen.share)


def _is_new(change: Change, record: Record) -> bool:
    """Whether a change was not tried yet, or has to be tried again."""
    before = record.outcomes.get(change.key)
    if (change.module, change.text) in EQUIVALENT:
        return False
    if before is None or before.source != change.source:
        return True
    return before.tests != digest(ROOT, change.module)


def _report(record: Record, found: list[Change], share: float) -> int:
    tried = [(change, record.outcomes[change.key]) for change in found if not _is_new(change, record)
             and change.key in record.outcomes and (change.module, change.text) not in EQUIVALENT]  # fmt: skip
    survivors = sorted(str(change) for change, outcome in tried if outcome.outcome == SURVIVED)
    for line in survivors:
        print(f"survived: {line}")
    equivalent = sum((change.module, change.text) in EQUIVALENT for change in found)
    killed = sum(outcome.outcome != SURVIVED for _, outcome in tried)
    late = sum(outcome.outcome not in (KILLED, SURVIVED) for _, outcome in tried)
    percent = 100 * killed / len(tried) if tried else 0.0
    print(f"{len(tried)} of {len(found)} changes tried, {killed} noticed ({late} by a crash or the limit of time), "
          f"{len(survivors)} not; {equivalent} without effect left out; {record.path}")  # fmt: skip
    print(f"noticed: {percent:.1f} %")
    return int(percent < share)


if __name__ == "__main__":
    sys.exit(main())
