"""The fingerprint of a data set: the facts that decide how a run is set up."""

import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dhr.data.samples import DataSet, in_random_order
from dhr.errors import ItemError
from dhr.inspection.words import FEW

_READ, _PATIENCE = 100, 4.0  # photographs that are read for their size, and seconds

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Fingerprint:
    """Counts and sizes of a data set."""

    photographs: int
    left_out: int
    """Photographs and annotations that cannot be used."""
    classes: int
    """Classes that can be tagged."""
    background: bool
    untagged: int
    """Photographs without tags."""
    tags: float
    """Tags per photograph, the mean."""
    most_tags: int
    per_class: tuple[int, int, int]
    """Photographs per class: of the rarest tagged class, the median, of the most frequent one."""
    few: Mapping[str, int]
    """Tagged classes with fewer than :data:`~dhr.inspection.words.FEW` photographs, the rarest first."""
    absent: tuple[str, ...]
    """Classes without a photograph."""
    sizes_of: int
    """Photographs whose size is known."""
    median: Size
    smallest: Size
    largest: Size


def fingerprint(data: DataSet, sizes: Mapping[str, Size]) -> Fingerprint:
    """Describe a data set.

    Args:
        data: the data set.
        sizes: size of each photograph that is known, at least one.
    """
    samples, table = data.samples, data.classes
    counts = Counter(tag for sample in samples for tag in sample.tags)
    per_class = sorted(counts.values()) or [0]
    rare = sorted((count, table.names[tag]) for tag, count in counts.items() if count < FEW)
    by_area = sorted(sizes.values(), key=lambda size: (size[0] * size[1], size))
    return Fingerprint(
        photographs=len(samples),
        left_out=len(data.problems),
        classes=len(table.foreground),
        background=table.background,
        untagged=sum(not sample.tags for sample in samples),
        tags=sum(per_class) / max(len(samples), 1),
        most_tags=max((len(sample.tags) for sample in samples), default=0),
        per_class=(per_class[0], round(statistics.median(per_class)), per_class[-1]),
        few={name: count for count, name in rare},
        absent=tuple(table.names[tag] for tag in table.foreground if not counts[tag]),
        sizes_of=len(sizes),
        median=by_area[len(by_area) // 2],
        smallest=by_area[0],
        largest=by_area[-1],
    )


def some_sizes(data: DataSet) -> dict[str, Size]:
    """Read some photographs and return the size of each; those that cannot be read are passed over.

    They are drawn by name, those with tags first, because a run is measured on photographs with tags.
    """
    found: dict[str, Size] = {}
    start = time.perf_counter()
    for sample in sorted(in_random_order(data.samples), key=lambda one: not one.tags)[:_READ]:
        if found and time.perf_counter() - start > _PATIENCE:
            break
        try:
            height, width = data.read_image(sample).shape[:2]
        except ItemError:
            continue
        found[sample.name] = (height, width)
    return found
