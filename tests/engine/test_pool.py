"""What goes to a pool of actors, and comes back from it; no cluster is needed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from dhr import errors
from dhr.data.manifest import Entry, write_manifest
from dhr.data.samples import ClassTable, Problem
from dhr.engine.cluster import _without, cause, libraries
from dhr.engine.deaths import TOGETHER, Trial
from dhr.engine.held import held
from dhr.engine.manifest import Manifest, Unit, UnitReader, Units
from dhr.engine.pool import _error, _told
from dhr.engine.worker import Assignment, Worker
from dhr.errors import ConfigError, OutputError
from dhr.results.row import Row

CLASSES = ClassTable(("background", "cat"), background=True)


@dataclass(frozen=True)
class Reasons:
    """Work that gives each photograph a reason, and notes which were opened."""

    out: Path
    manifest: Manifest
    settings: str = "s"
    opened_names: list[str] = field(default_factory=list)

    @property
    def classes(self) -> ClassTable:
        return CLASSES

    def opened(self) -> "Reasons":
        return self

    def rows(self, photographs: Sequence[tuple[str, Any]], known: Sequence[Row]) -> list[Row]:
        self.opened_names.extend(name for name, one in photographs if not isinstance(one, Problem))
        return [Row(name, "s", reason=one.reason if isinstance(one, Problem) else "none") for name, one in photographs]


@pytest.fixture
def work(tmp_path: Path) -> Reasons:
    entries = [Entry(f"{n:02d}", f"{n}.jpg", ("cat",), split="train" if n % 3 else "val") for n in range(12)]
    write_manifest(tmp_path / "photos.parquet", CLASSES, entries)
    return Reasons(tmp_path / "out", Manifest.open(tmp_path / "photos.parquet", "train"))


def batch(unit: Unit) -> dict[str, np.ndarray]:
    return {name: np.array([getattr(unit, name)]) for name in ("number", "start", "stop", "rows")}


def test_the_cause_of_a_failed_task_is_one_line() -> None:
    if find_spec("ray") is None:
        pytest.skip("needs ray")
    ray = libraries(local=True)  # as other tests of this process need it
    raised = ray.exceptions.RayTaskError("fit", "Traceback (most recent call last)\n  ...", OutputError("it is full"))
    found = cause(raised.as_instanceof_cause())
    assert type(found) is OutputError and str(found) == "it is full"


def test_errors_of_workers_come_back_with_kind_and_text() -> None:
    for error in (errors.ConfigError("a"), errors.PlaceError("b"), errors.DhrError("c"), errors.WeightsError("d")):
        back = _error(**_told(error))
        assert type(back) is type(error) and str(back) == str(error)
    assert type(_error(**_told(errors.ConflictError("e", 3)))) is errors.OutputError
    try:
        raise KeyError("x")
    except KeyError as error:
        assert "test_pool.py" in str(_error(**_told(error)))


def test_photographs_that_kill_are_not_opened_and_have_their_reason(work: Reasons) -> None:
    units = Units(4).run(work.manifest)
    (facts,) = Worker(Assignment(work, dead={1: {"07": TOGETHER}}))(batch(units[1]))["facts"]
    assert facts["failed"] == 4 and ["07", TOGETHER] in facts["reasons"]
    assert "07" not in work.opened_names and len(work.opened_names) == 3
    assert [one.others == () and one.masks == 0 for one in held(work.out, units, "s")] == [True, True]


def test_each_photograph_of_a_unit_is_tried_alone(work: Reasons) -> None:
    units = Units(4).run(work.manifest)
    reader, trial = UnitReader(work.manifest), Trial(Assignment(work))
    for unit in units:
        alone = reader.alone(unit)
        assert [name for one in alone for name, _ in reader.read(one)] == [name for name, _ in reader.read(unit)]
        assert all(trial(batch(one))["facts"] == [None] for one in alone)
    assert len(work.opened_names) == 8 and not (work.out / "rows").exists()


def test_only_one_line_of_a_library_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError), _without(b"level"):
        os.write(2, b"Set the level to 3\nNo room\n")
        raise ConfigError("no cluster")
    os.write(2, b"level\n")
    assert capfd.readouterr().err == "No room\nlevel\n"
