"""The records of a run, read leniently, so that an unfinished or damaged run has a report, too."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dhr.corrections import Corrections, State
from dhr.data.samples import Problem
from dhr.errors import OutputError
from dhr.records.correction import Correction
from dhr.records.item import ItemRecord
from dhr.results.protocol import Records


@dataclass(frozen=True, slots=True)
class Item:
    """One finished photograph, ``items/<name>.json``."""

    name: str
    tags: tuple[str, ...]
    """Names of classes."""
    width: int
    height: int
    quality: float
    """0..1, or NaN where unknown."""
    ratios: Mapping[str, float]
    """Share of the mask, 0..1, by class name."""
    vanished: tuple[str, ...]
    """Names of tagged classes without a pixel in the mask."""
    state: State | None = None
    """A person's decision on the photograph."""
    changed: float = 0.0
    """Share of its pixels, 0..1, that differ from the mask that this one replaced."""


def read_items(out: Path, records: Records) -> Iterator[Item | Problem]:
    """Read the records of the finished photographs one by one, in no order; a damaged one comes as a problem."""
    store = Corrections.of(out)
    decided = {*store.names()}
    for name, record in records.each(ItemRecord, lenient=True):
        if isinstance(record, Problem):
            yield record
            continue
        try:
            correction = store.read(name) if name in decided else None
        except OutputError as error:
            yield Problem(name, str(error))
            correction = None
        yield item_of(name, record, correction)


def item_of(name: str, record: ItemRecord, correction: Correction | None) -> Item:
    """Return what the page shows of a photograph."""
    return Item(
        name=name,
        tags=record.tags,
        width=record.width,
        height=record.height,
        quality=math.nan if record.quality is None else record.quality,
        ratios=record.ratios,
        vanished=record.vanished,
        state=None if correction is None else correction.state,
        changed=_share(record),
    )


def _share(record: ItemRecord) -> float:
    pixels = record.width * record.height
    return min((record.changed or 0) / pixels, 1.0) if pixels else 0.0
