"""The masks of one unit, as rows: the plain stage of masks, on the photographs of the unit alone."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dhr.data.images import mask_bytes
from dhr.data.manifest import ManifestDataSet
from dhr.data.manifest import Row as Photo
from dhr.data.samples import Problem, Sample, in_random_order
from dhr.errors import ItemError
from dhr.flow.ahead import ahead
from dhr.flow.halving import BatchSize
from dhr.job.drafts import Photograph
from dhr.job.kept import Space
from dhr.job.mask_stage import MaskStage
from dhr.job.masks import MaskMaker
from dhr.job.scan import Scan, scanned
from dhr.job.survey import parted
from dhr.progress import silent
from dhr.records.scan import Scanned
from dhr.results.row import Row
from dhr.types import Rebalanced


@dataclass
class MaskRows:
    """Collects masks as rows; implements :class:`~dhr.job.mask_stage.Results`."""

    maker: MaskMaker
    settings: str
    kept: frozenset[str]
    """Photographs whose rows are there."""
    rows: dict[str, Row] = field(default_factory=dict)

    def unfinished(self, found: Scan) -> Sequence[Sample]:
        """Return the photographs without a row."""
        return [sample for sample in found.samples if sample.name not in self.kept]

    def make_room(self, name: str) -> None:
        """Do nothing: rows are written together."""

    def write(self, photograph: Photograph, result: Rebalanced, start: float, before: float = 0.0) -> bool:
        """Add the row of a photograph."""
        made, name = self.maker.made(photograph, result), photograph.sample.name
        labels = made.labels(result.scores)
        content = mask_bytes(labels, self.maker.palette)
        record = replace(
            made.record(labels, self.maker.digest(photograph)),
            mask=hashlib.sha256(content).hexdigest(),
            seconds=round(before + time.perf_counter() - start, 4),
        )
        self.rows[name] = Row(name, self.settings, record, content)
        return False


@dataclass(frozen=True)
class UnitMasks:
    """Makes the masks of units with the networks of a run."""

    maker: MaskMaker
    settings: str
    """Digest of the run's identity."""
    looked_at: frozenset[str]
    """Photographs from which the survey learned."""
    size: BatchSize

    def rows(self, photographs: Sequence[tuple[str, Photo | Problem]], known: Sequence[Row]) -> list[Row] | None:
        """Return a row for each photograph of a unit, in their order; None if there is nothing new.

        Args:
            photographs: all rows of the unit in the manifest, with their ids.
            known: rows of an earlier call. Those with a mask stay; the others are tried again.
        """
        kept = {row.id: row for row in known if row.record is not None}
        reasons = {name: one.reason for name, one in photographs if isinstance(one, Problem)}
        samples = [one for _, one in photographs if not isinstance(one, Problem)]
        data = ManifestDataSet(self.maker.drafts.data.classes, samples)
        seen = self._seen(data, [one for one in samples if one.name not in kept])
        named = [name for name, _ in photographs]
        if {*named} <= {row.id for row in known} and not any(one.size for one in seen.values()):
            return None
        seen |= self._seen(data, [one for one in samples if one.name in kept])
        reasons |= {name: one.reason or "" for name, one in seen.items() if one.size is None}
        rows = {**self._made(data, seen, frozenset(kept), reasons), **kept}
        return [
            rows.get(name) or Row(name, self.settings, reason=reasons.get(name) or "it has no mask") for name in named
        ]

    def _seen(self, data: ManifestDataSet, samples: Sequence[Photo]) -> dict[str, Scanned]:
        """Look at photographs, as the scan of a run does."""
        names = data.classes.names
        found = {}
        for sample, loaded in ahead(samples, lambda one: scanned(data, one, ())):
            tags = tuple(names[tag] for tag in sample.tags)
            try:
                found[sample.name] = replace(loaded.get(), tags=tags)
            except ItemError as error:  # it took too long
                found[sample.name] = Scanned("", str(error), None, tags)
        return found

    def _made(
        self, data: ManifestDataSet, seen: dict[str, Scanned], kept: frozenset[str], reasons: dict[str, str]
    ) -> dict[str, Row]:
        """Make the masks of all photographs that can be read and are not kept; note why others fail."""
        usable = tuple(one for one in data.samples if seen[one.name].size is not None)
        found = Scan(usable, (), "", {one.name: seen[one.name] for one in usable}, {}, seen)
        drafts = replace(self.maker.drafts, data=data, found=found)
        maker = replace(self.maker, drafts=drafts)
        looked_at = in_random_order(one for one in usable if one.name in self.looked_at)  # as the survey does
        first, others = parted(drafts, looked_at, self.size.whole)
        rows = MaskRows(maker, self.settings, kept)
        stage = MaskStage(maker, rows, self.size, Space(0))
        stage.run([*first, *others], "masks", silent)
        reasons |= stage.failed
        return rows.rows
