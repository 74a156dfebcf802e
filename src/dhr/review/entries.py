"""The photographs under review, from one pass over the records of a run."""

import math
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int32, Int64

from dhr.corrections import Corrections, State, tags_in, valid
from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.errors import DhrError, ItemError
from dhr.progress import Progress, Step
from dhr.records.item import ItemRecord
from dhr.records.members import Share
from dhr.records.problem import Problem
from dhr.results.protocol import Records
from dhr.review.order import Doubt, Doubts, queue_order

_STEP = 1000  # records between two reports of progress


@dataclass(frozen=True, slots=True)
class Entry:
    """A photograph of the queue."""

    name: str
    vanished: tuple[int, ...]
    """Ids of the tagged classes without a pixel in the machine's mask."""
    rank: float
    """Share of the photographs that are less doubtful, 0..1."""
    lowest: float | None
    """Share of the masks with this quality or a lower one, 0..1; None if it has no quality."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a photograph, as it is stored."""

    state: State
    revision: int
    tags: tuple[int, ...]
    """Ids of the tags that are now valid."""
    outdated: str = ""
    """Why it does not hold any more; empty if it holds."""


@dataclass(frozen=True, eq=False)
class Entries:
    """All photographs with a mask, in columns: there may be a million."""

    samples: Sequence[Sample]
    places: Int64[np.ndarray, " n"]
    """Places in the data set of those that have a mask, ascending. The next columns are in this order."""
    ranks: Float64[np.ndarray, " n"]
    lowest: Float64[np.ndarray, " n"]
    vanished: Int32[np.ndarray, " n"]
    """The number of the vanished classes in ``gone``."""
    gone: Sequence[tuple[int, ...]]
    by_doubt: Int64[np.ndarray, " n"]
    """Places in the data set, the most doubtful photograph first."""
    by_name: Int64[np.ndarray, " n"]
    """Places in the data set, sorted by name."""

    def __len__(self) -> int:
        return len(self.places)

    def get(self, number: int) -> Entry | None:
        """Return the photograph at a place of the data set; None if it has no mask."""
        at = int(np.searchsorted(self.places, number))
        if at == len(self.places) or self.places[at] != number:
            return None
        lowest = float(self.lowest[at])
        return Entry(
            self.samples[number].name,
            self.gone[self.vanished[at]],
            float(self.ranks[at]),
            None if math.isnan(lowest) else lowest,
        )


@dataclass(frozen=True)
class _Signs:
    """The members of a record that the queue needs; reading only them takes half the time."""

    tags: tuple[str, ...] = ()
    ratios: Mapping[str, Share] = field(default_factory=dict)
    vanished: tuple[str, ...] = ()
    quality: Share | None = None
    person: State | None = None


def read_entries(records: Records, samples: Sequence[Sample], classes: ClassTable, progress: Progress) -> Entries:
    """Read the records of all photographs once; those that are damaged or gone are left out.

    Raises:
        OutputError: the folder of the records is a link.
    """
    doubts, numbers = _doubts(records, samples, progress)
    ids, count = {name: number for number, name in enumerate(classes.names)}, len(numbers)
    order = queue_order(doubts)
    ranks = np.empty(count)
    ranks[order] = 1 - np.arange(1, count + 1) / max(count, 1)
    quality = np.asarray(doubts.quality)
    known = np.sort(quality[~np.isnan(quality)])
    upto = np.searchsorted(known, quality, side="right")
    lowest = np.where(np.isnan(quality), np.nan, upto / max(len(known), 1))
    sorted_by_place = np.argsort(numbers, kind="stable")
    gone = tuple(tuple(sorted(ids[name] for name in names if name in ids)) for names in doubts.gone)
    return Entries(
        samples=samples,
        places=numbers[sorted_by_place],
        ranks=ranks[sorted_by_place],
        lowest=lowest[sorted_by_place],
        vanished=np.asarray(doubts.vanished)[sorted_by_place],
        gone=gone,
        by_doubt=numbers[order],
        by_name=numbers[np.array(sorted(range(count), key=doubts.names.__getitem__), np.int64)],
    )


def read_decisions(
    corrections: Corrections, records: Records, entries: Entries, data: DataSet
) -> Iterator[tuple[int, Decision | None]]:
    """Yield the decisions that are stored, each with the place of its photograph; None for a damaged record."""
    for name, number in _places(entries, {*corrections.names()}).items():
        sample, item = entries.samples[number], records.record(name)
        if item is None:
            continue
        try:
            decision = read_decision(corrections, sample, item, data)
        except DhrError:
            yield number, None
            continue
        if decision is not None:
            yield number, decision


def _places(entries: Entries, names: Collection[str]) -> dict[str, int]:
    """Return the places of some photographs of the queue, by name."""
    every = entries.places.tolist() if names else ()
    return {name: number for number in every if (name := entries.samples[number].name) in names}


def read_decision(corrections: Corrections, sample: Sample, item: ItemRecord, data: DataSet) -> Decision | None:
    """Read the decision on a photograph; None if there is none.

    It holds for the photograph of which the mask was made. One that needs no mask holds also for the present one, so a
    photograph that was replaced can be rejected.

    Raises:
        OutputError: its record is damaged.
    """
    found = corrections.read(sample.name)
    if found is None:
        return None
    digest = item.digest
    if found.digest != digest and not found.certain:
        digest = present_digest(data, sample, item)
    reason = valid(found, sample, digest, data.classes)
    tags = sample.tags if reason else tags_in(found, data.classes)
    return Decision(found.state, found.revision, tags, reason or "")


def present_digest(data: DataSet, sample: Sample, item: ItemRecord) -> str:
    """Return the digest of a photograph now; that of its record if it is gone or cannot be read."""
    try:
        return data.digest(sample)
    except ItemError:
        return item.digest


def _doubts(records: Records, samples: Sequence[Sample], progress: Progress) -> tuple[Doubts, Int64[np.ndarray, " n"]]:
    """Return the signs of each photograph with a record, in no order, and the places of these photographs."""
    places = {sample.name: number for number, sample in enumerate(samples)}
    found, numbers = Doubts(), array("q")
    for done, (name, signs) in enumerate(records.each(_Signs)):
        if done % _STEP == 0:
            progress(Step("read", done, len(samples), unit="records"))
        number = None if isinstance(signs, Problem) else places.pop(name, None)
        if number is not None and isinstance(signs, _Signs):
            quality = signs.quality if signs.person is None else 1.0  # a person's mask has none, and is no doubt
            found.add(Doubt(samples[number].name, quality, signs.vanished, signs.tags, signs.ratios))
            numbers.append(number)
    progress(Step("read", len(samples), len(samples), unit="records"))
    return found, np.array(numbers, np.int64)
