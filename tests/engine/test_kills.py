"""A run with Ray of which the command, workers and the whole cluster are killed again and again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

if find_spec("ray") is None:
    pytest.skip("needs ray", allow_module_level=True)

from dhr.results.row import Row
from dhr.results.rows import RowMasks

TINY = (
    *("--wss.backbone", "test_resnet", "--wss.weights", "none", "--wss.scales", "[1.0]"),
    *("--classifier.epochs", "1", "--classifier.batch", "16", "--classifier.crop", "32"),
    *("--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]", "--no-stages"),
)
COUNT, UNIT = 500, 8
UNITS = -(-COUNT // UNIT)
EACH = 10  # kills of each kind
RAYLET = b"raylet/raylet"  # with it a cluster begins, and ends
WORKERS = (b"MapWorker(MapBatches(Guarded))", b"ray::_with_steps", b"ray::join")
PATIENCE = 3600.0  # seconds without a new unit, after which a run hangs
PROGRAM = """
import sys
import dhr.engine.join, dhr.engine.run
dhr.engine.run.group_size = lambda device: {unit}
dhr.engine.join.LARGEST = 60_000
from dhr.cli import main
sys.exit(main({call!r}))
"""


@dataclass
class Killer:
    """Starts a run again and again, and kills a part of it each time."""

    call: Sequence[str]
    out: Path
    log: Path
    below: Callable[[int], Sequence[Any]]
    driver: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Return the running command; start it if it has ended."""
        if self.driver is None or self.driver.poll() is not None:
            program = PROGRAM.format(unit=UNIT, call=[*self.call])
            with self.log.open("ab") as log:
                self.driver = subprocess.Popen([sys.executable, "-c", program], stdout=log, stderr=log)
        return self.driver

    def kill(self, victim: str, units: int, wait: float) -> None:
        """Kill a victim as soon as so many units are finished."""
        driver, end = self.start(), time.monotonic() + PATIENCE
        while len(finished(self.out)) < units or not (wanted := self.victims(driver, victim)):
            assert driver.poll() is None, f"the command ended by itself: {driver.poll()}"
            assert time.monotonic() < end, "the run hangs"
            time.sleep(0.02)
        time.sleep(wait)
        before = self.below(driver.pid)
        signalled(self.victims(driver, victim) or wanted)
        self.say(f"killed {victim}: {len(finished(self.out))} of {UNITS} units")
        if victim != "worker":
            begin = time.monotonic()
            code = driver.wait(PATIENCE)
            self.say(f"the command ended with {code} after {time.monotonic() - begin:.1f} s")
            signalled([one.number for one in before if self.same(one)])

    def victims(self, driver: subprocess.Popen[bytes], victim: str) -> list[int]:
        """Return the processes of a victim."""
        if victim == "driver":
            return [driver.pid]
        found = self.below(driver.pid)
        if victim == "cluster" and not any(RAYLET in one.command for one in found):
            return []  # there is none yet
        if victim == "worker":
            found = [one for one in found if any(name in one.command for name in WORKERS)]
        return [one.number for one in found]

    def same(self, process: Any) -> bool:
        """Return whether a process is there still."""
        try:
            return Path(f"/proc/{process.number}/cmdline").read_bytes() == process.command != b""
        except OSError:
            return False

    def say(self, line: str) -> None:
        """Add a line to the log."""
        with self.log.open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def signalled(numbers: Sequence[int]) -> None:
    """Send SIGKILL to processes."""
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def finished(out: Path) -> set[int]:
    """Return the units whose rows are there."""
    found = set[int]()
    for path in (out / "rows").glob("part-*.parquet"):
        first, _, last = path.stem.removeprefix("part-").partition("-")
        found |= {*range(int(first), int(last or first) + 1)}
    return found


def masks(out: Path) -> dict[str, bytes]:
    """Return the masks of a run by id; an id that occurs twice would be a problem."""
    rows = RowMasks(out / "rows")
    assert not rows.problems
    return {row.id: row.mask for row in rows.rows() if isinstance(row, Row) and row.mask is not None}


@pytest.mark.slow
def test_thirty_kills_change_no_mask(tmp_path: Path, scenes: Any, dhr: Any, below: Any) -> None:
    log = Path(os.environ.get("DHR_KILLS_LOG", tmp_path / "kills.log"))
    data = scenes(tmp_path / "data", COUNT)
    assert dhr(["manifest", "--data", data, "--file", data / "photos.parquet"]).code == 0
    made, out = tmp_path / "whole", tmp_path / "out"
    call = ["run", "--data", str(data / "photos.parquet"), *TINY, "--engine", "ray", "--fit-on", "60", "--out"]
    assert Killer([*call, str(made)], made, log, below).start().wait() == 0
    random = Random(0)
    victims = ["driver", "worker", "cluster"] * EACH
    random.shuffle(victims)
    killer = Killer([*call, str(out)], out, log, below)
    for number, victim in enumerate(victims):  # the first two kills come before the first unit
        killer.kill(victim, max(number - 1, 0) * UNITS // len(victims), random.uniform(0, 0.4))
    killer.say(f"{len(victims)} kills are done")
    assert killer.start().wait() == 0
    found = masks(out)
    assert len(found) == COUNT and found == masks(made)
    assert all(path.name.count("-") == 2 for path in (out / "rows").iterdir())
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished" and record["counts"]["masks"] == COUNT
    killer.say(f"{len(found)} masks, all equal")
