"""The photographs under review, from one pass over the records of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern

from dhr.corrections import Corrections, State, tags_in, valid
from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.errors import DhrError, ItemError
from dhr.progress import Progress, Step
from dhr.records.item import ItemRecord
from dhr.records.members import Share
from dhr.records.problem import Problem
from dhr.results.protocol import Records
from dhr.review.order import Doubt, queue_order

_STEP = 1000  # records between two reports of progress


@dataclass(frozen=True, slots=True)
class Entry:
    """A photograph of the queue. There are many, so it holds little."""

    name: str
    vanished: tuple[int, ...]
    """Ids of the tagged classes without a pixel in the machine's mask."""
    rank: float
    """Share of the photographs that are less doubtful, 0..1."""
    below: float | None
    """Share of the masks with a lower quality, 0..1."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a photograph, as it is stored."""

    state: State
    revision: int
    tags: tuple[int, ...]
    """Ids of the tags that are now valid."""
    outdated: str = ""
    """Why it does not hold any more; empty if it holds."""


@dataclass(frozen=True)
class Entries:
    """All photographs with a mask."""

    of: Mapping[int, Entry]
    """By their place in the data set."""
    by_doubt: Sequence[int]
    """Places, the most doubtful photograph first."""
    by_name: Sequence[int]
    """Places, sorted by name."""


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
    ids = {name: number for number, name in enumerate(classes.names)}
    by_place = dict(sorted(_doubts(records, samples, progress), key=lambda pair: pair[0]))
    places, doubts = [*by_place], [*by_place.values()]
    order = queue_order(doubts)
    below = _shares_below([doubt.quality for doubt in doubts])
    ranks = dict(zip(order, range(len(order)), strict=True))
    found = {
        number: Entry(
            doubt.name,
            tuple(sorted(ids[name] for name in doubt.vanished if name in ids)),
            1 - (ranks[place] + 1) / len(doubts),
            below[place],
        )
        for place, (number, doubt) in enumerate(zip(places, doubts, strict=True))
    }
    return Entries(found, [places[one] for one in order], sorted(places, key=lambda number: samples[number].name))


def read_decisions(
    corrections: Corrections, records: Records, samples: Mapping[str, tuple[int, Sample]], data: DataSet
) -> Iterator[tuple[int, Decision | None]]:
    """Yield the decisions that are stored, each with the place of its photograph; None for a damaged record."""
    for name in corrections.names():
        if name in samples:
            number, sample = samples[name]
            item = records.record(name)
            if item is None:
                continue
            try:
                decision = read_decision(corrections, sample, item, data)
            except DhrError:
                yield number, None
                continue
            if decision is not None:
                yield number, decision


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


def _doubts(records: Records, samples: Sequence[Sample], progress: Progress) -> Iterator[tuple[int, Doubt]]:
    """Yield the place and the signs of each photograph with a record, in no order."""
    places = {sample.name: number for number, sample in enumerate(samples)}
    for done, (name, signs) in enumerate(records.each(_Signs)):
        if done % _STEP == 0:
            progress(Step("read", done, len(samples), unit="records"))
        number = places.get(name)
        if number is not None and not isinstance(signs, Problem):
            quality = signs.quality if signs.person is None else 1.0  # a person's mask has none, and is no doubt
            vanished, tags = (tuple(map(intern, names)) for names in (signs.vanished, signs.tags))
            shares = {intern(one): share for one, share in signs.ratios.items()}  # equal names are in memory once
            yield number, Doubt(samples[number].name, quality, vanished, tags, shares)
    progress(Step("read", len(samples), len(samples), unit="records"))


def _shares_below(values: Sequence[float | None]) -> list[float | None]:
    """Return for each value the share of all values that are lower."""
    known = sorted(value for value in values if value is not None)
    first: dict[float, int] = {}
    for place, value in enumerate(known):
        first.setdefault(value, place)
    return [None if value is None else first[value] / len(known) for value in values]
