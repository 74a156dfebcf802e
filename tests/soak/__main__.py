"""``python -m tests.soak``: disturbs dhr for some minutes, and counts in a JSON file that later calls add to."""

import argparse
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from ..conftest import serving
from .parts import PARTS, SHARES
from .record import Record, Tally
from .session import Session


def main() -> int:
    """Run rounds of all parts, each for its share of the time; 1 if anything failed, on this day or before."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--file", type=Path, default=Path("build/soak/soak.json"), help="the counts; it is added to")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--seed", type=int, help="repeat one round, and leave the file alone")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="dhr-soak-", ignore_cleanup_errors=True) as place:
        (Path(place) / "forks").mkdir()
        with serving(Path(place) / "forks") as forks:
            session = Session(forks, Path(place), chosen.file.absolute().parent)
            if chosen.seed is not None:
                for name in chosen.parts:
                    print(name, dict(PARTS[name](session, chosen.seed)))
                return 0
            return _soak(session, Record.read(chosen.file), chosen.parts, chosen.minutes * 60)


def _soak(session: Session, record: Record, parts: list[str], seconds: float) -> int:
    spent = dict.fromkeys(parts, 0.0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = min(parts, key=lambda one: spent[one] / SHARES[one])
        tally = record.parts.setdefault(name, Tally())
        seed, began = tally.next, time.monotonic()
        try:
            tally.counts += PARTS[name](session, seed)
        except Exception as error:  # whatever it is: the round did not end as it must
            what = (
                str(error) if isinstance(error, AssertionError) else "".join(traceback.format_exception(error))[-1500:]
            )
            tally.fail(seed, what)
            print(f"{name}, seed {seed}: {what}", flush=True)
        tally.next = seed + 1
        took = time.monotonic() - began
        spent[name] += took
        tally.seconds += took
        record.write()
    for name, tally in sorted(record.parts.items()):
        counts = ", ".join(f"{what} {number}" for what, number in sorted(tally.counts.items()))
        print(f"{name}: {tally.next} rounds in {tally.seconds:.0f} s, {tally.failures} failures; {counts}")
    print(f"{sum(tally.next for tally in record.parts.values())} rounds, {record.failures} failures: {record.path}")
    return int(record.failures > 0)


if __name__ == "__main__":
    sys.exit(main())
