"""Photographs that end the process which reads them: they are found one by one, and the others get their masks."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from dhr.data.manifest import ManifestDataSet
from dhr.data.manifest import Row as Photo
from dhr.engine.cluster import Share
from dhr.engine.manifest import Unit, UnitReader
from dhr.engine.pool import mapped
from dhr.engine.worker import Assignment, Worker
from dhr.job.scan import scanned

ALONE = (
    "the worker ended twice by itself when it read this photograph or made its mask; save it again in another format, "
    "or leave it out"
)
"""The reason of a photograph at which workers die."""
TOGETHER = (
    "the worker ended twice by itself at this photograph's unit, though it can make the mask of each photograph alone; "
    "give each worker more memory, such as with fewer --workers, and start again"
)
"""The reason of all photographs of a unit, if they end the worker only together."""


class Trial(Worker):
    """An actor of Ray that makes masks and writes nothing; it shows which photographs end it."""

    def _made(self, unit: Unit) -> None:
        known = self.known(unit).rows
        done = {row.id for row in known if row.record is not None}
        if todo := [(name, one) for name, one in self.reader.read(unit) if name not in done]:
            self.masks.rows(todo, [])


def surviving(ray: Any, part: Share, assignment: Assignment, units: Sequence[Unit]) -> Iterator[Any]:
    """Make units; yield the facts on each. Photographs at which workers die get a reason.

    At the second death of a worker at a unit, the photographs of the unit are tried one by one, each twice at most.
    Then the unit is made without those that ended the worker, so that masks do not depend on deaths.

    Args:
        ray: the package, connected.
        part: of the cluster.
        assignment: the work.
        units: different ones.

    Raises:
        DhrError: as :func:`dhr.engine.pool.mapped`.
    """
    reader, lost = UnitReader(assignment.work.manifest), list[int]()
    yield from mapped(ray, part, Worker, assignment, _items(units), lost)
    units, died = [units[one] for one in lost], list[int]()
    alone = [one for unit in units for one in reader.alone(unit)]
    for _ in mapped(ray, part, Trial, assignment, _items(alone), died):
        pass
    dead = {unit.number: dict[str, str]() for unit in units}
    for photograph in (alone[one] for one in died):
        dead[photograph.number] |= {name: ALONE for name, _ in reader.read(photograph)}
    lost = []
    yield from mapped(ray, part, Worker, replace(assignment, dead=dead), _items(units), lost)
    units = [units[one] for one in lost]
    for unit in units:
        dead[unit.number] = {name: TOGETHER for name, _ in reader.read(unit)} | dead[unit.number]
    yield from mapped(ray, part, Worker, replace(assignment, dead=dead), _items(units))


def _items(units: Sequence[Unit]) -> list[dict[str, Any]]:
    return [asdict(unit) for unit in units]


def readable(ray: Any, sample: ManifestDataSet) -> ManifestDataSet:
    """Leave out photographs that end the process which reads them; each is read in a task of Ray."""
    read, kept = ray.remote(_read).options(max_retries=1), list[Photo]()
    tasks = [(one, read.remote(sample.classes, one)) for one in sample.samples]
    for photograph, task in tasks:
        try:
            ray.get(task)
            kept.append(photograph)
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
            continue
    return ManifestDataSet(sample.classes, kept, sample.problems, sample.notes)


def _read(classes: Any, photograph: Photo) -> None:
    scanned(ManifestDataSet(classes, (photograph,)), photograph, ())
