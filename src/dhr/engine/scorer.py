"""A worker that compares the masks of one unit after another with their ground truth."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dhr.corrections.beside import masks_at
from dhr.data.manifest import ManifestDataSet, Row
from dhr.data.samples import Problem
from dhr.engine.manifest import Manifest, Unit, UnitReader
from dhr.engine.networks import check_version
from dhr.evaluate.folders import Predictions
from dhr.evaluate.sums import look
from dhr.evaluate.threads import in_order
from dhr.flow.ahead import cores
from dhr.results.protocol import Masks

_PROBLEMS = 20  # rows of a unit that cannot be used, by name


@dataclass(frozen=True)
class ScoreWork:
    """All that a worker needs."""

    manifest: Manifest
    rows: Path
    """The folder of the rows, on a disk that all share."""
    name: str
    """Of the scores."""
    version: str
    """Of dhr."""


@dataclass(frozen=True)
class RowFiles(Mapping[str, str]):
    """The masks of rows by photograph, without a list of them; the place of a mask is its name."""

    masks: Masks
    count: int

    def __getitem__(self, name: str) -> str:
        if not self.masks.has(name):
            raise KeyError(name)
        return name

    def __iter__(self) -> Iterator[str]:
        return self.masks.names()

    def __len__(self) -> int:
        return self.count


class Scorer:
    """An actor of Ray, which :class:`~dhr.engine.pool.Guarded` holds."""

    def __init__(self, work: ScoreWork) -> None:
        self.work, self.reader = work, UnitReader(work.manifest)
        self.data = ManifestDataSet(work.manifest.classes, ())
        check_version(work.version)
        masks = masks_at(work.rows)
        self.found = Predictions(masks, RowFiles(masks, 0), (), (), masks.numbering(work.manifest.classes, ()))

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Compare the photographs of units, and return what was counted, as JSON."""
        return {"facts": [json.dumps(self._seen(unit)) for unit in Unit.of(batch)]}

    def _seen(self, unit: Unit) -> dict[str, Any]:
        read = [one for _, one in self.reader.read(unit)]
        rows = [one for one in read if isinstance(one, Row)]
        scored = [one for one in rows if one.has_ground_truth and one.name in self.found.files]
        problems = [[one.source, one.reason] for one in read if isinstance(one, Problem)]
        looks = [*in_order(self._look, scored, cores())]
        return {
            "unit": unit.number, "rows": unit.rows, "usable": len(rows), "problems": problems[:_PROBLEMS],
            "unnamed": len(problems[_PROBLEMS:]), "looks": looks,
        }  # fmt: skip

    def _look(self, row: Row) -> dict[str, Any]:
        name = self.work.name
        seen = look(self.data, {name: self.found}, {name: self.found.masks.records}, row)
        counts = seen.counts.get(name)
        places, values = (None, None) if counts is None else counts.packed()
        return {
            "name": row.name, "tags": row.tags, "wrong_size": seen.wrong_size.get(name),
            "refused": seen.refused.get(name), "unread": seen.unread, "places": places, "values": values,
        }  # fmt: skip
