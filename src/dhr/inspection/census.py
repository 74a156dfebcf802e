"""Reads a whole data set once, several photographs at a time, and counts."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from dhr.data.samples import VOID, ClassTable, DataSet, Problem, Sample
from dhr.evaluate.threads import in_order
from dhr.inspection.choice import chosen
from dhr.inspection.look import Picture, Seen, look
from dhr.progress import Progress, Step, silent


@dataclass(frozen=True)
class ClassCensus:
    """One class that can be tagged."""

    id: int
    name: str
    photographs: int
    """Photographs that are tagged with it."""
    alone: int
    """Photographs without another tag."""
    in_truth: int
    """Ground-truth masks that hold it."""
    truth_pixels: int
    only_tagged: int
    """Photographs that are tagged with it, but have ground truth without it."""
    only_in_truth: int
    """Photographs that show it in the ground truth, but are not tagged with it."""


@dataclass(frozen=True)
class Duplicates:
    """Photographs with the same content."""

    names: tuple[str, ...]
    sources: tuple[str, ...]
    same_tags: bool


@dataclass(frozen=True)
class Inspection:
    """The content of a data set. Photographs that cannot be read count as tagged; their size is unknown."""

    table: ClassTable
    photographs: int
    classes: tuple[ClassCensus, ...]
    """The foreground, by id."""
    tags: Mapping[int, int]
    """Photographs by number of tags."""
    together: Int64[NDArray[Any], "c c"]
    """Photographs tagged with both, by class id; on the diagonal, with the class."""
    sizes: Mapping[tuple[int, int], int]
    """Photographs by height and width."""
    listed_truth: int
    """Photographs that come with ground truth."""
    read_ground_truth: int
    """Those of them whose ground truth can be read."""
    void: float
    """Share of ground-truth pixels that are void, 0..1; NaN without ground truth."""
    duplicates: tuple[Duplicates, ...]
    problems: tuple[Problem, ...]
    """Files that the listing left out, and photographs and ground truth that cannot be read."""
    shown: Mapping[int, tuple[str, ...]]
    """Photographs of the page, by class id."""
    pictures: Mapping[str, Picture]
    """By name; of those that can be read."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; shares in percent."""
        names = self.table.names
        sides = [max(size) for size, count in self.sizes.items() for _ in range(count)]
        upper = np.argwhere(np.triu(self.together, 1))
        return {
            "photographs": self.photographs,
            "background": self.table.background,
            "tags_a_photograph": {str(count): self.tags[count] for count in sorted(self.tags)},
            "classes": [
                {
                    **{name: getattr(one, name) for name in ("id", "name", "photographs", "alone")},
                    **({"truth": _truth_json(one)} if self.read_ground_truth else {}),
                }
                for one in self.classes
            ],
            "together": [{"classes": [names[i], names[j]], "photographs": int(self.together[i, j])} for i, j in upper],
            "sizes": {
                "different": len(self.sizes),
                "longer_side": [min(sides), round(statistics.median(sides)), max(sides)] if sides else None,
                "most_frequent": [
                    {"width": width, "height": height, "photographs": count}
                    for (height, width), count in Counter(self.sizes).most_common(10)
                ],
            },
            "truth": {
                "listed": self.listed_truth,
                "read": self.read_ground_truth,
                "void_percent": None if math.isnan(self.void) else round(100 * self.void, 4),
            },
            "duplicates": [{"sources": list(group.sources), "same_tags": group.same_tags} for group in self.duplicates],
            "problems": [{"source": problem.source, "reason": problem.reason} for problem in self.problems],
        }


def _truth_json(one: ClassCensus) -> dict[str, int]:
    return {
        "photographs": one.in_truth,
        "pixels": one.truth_pixels,
        "only_tagged": one.only_tagged,
        "only_in_truth": one.only_in_truth,
    }


def inspect_data(data: DataSet, progress: Progress = silent, workers: int | None = None) -> Inspection:
    """Read every photograph and every ground-truth mask once.

    Of a photograph its name, size and digest stay in memory, and the pictures of a few; the rest does not grow with
    their number. The result does not depend on ``workers``, the number of threads.

    Args:
        data: the data set.
        progress: called after each photograph.
        workers: threads; by default one for each processor.
    """
    shown = chosen(data.samples, len(data.classes.names))
    pictured = frozenset(name for names in shown.values() for name in names)
    census = _Census(data.classes)
    seen = in_order(partial(_look, data, pictured), data.samples, workers)
    for done, one in enumerate(seen, start=1):
        census.add(one)
        progress(Step("inspect", done, len(data.samples)))
    return census.result(data, shown)


def _look(data: DataSet, pictured: frozenset[str], sample: Sample) -> Seen:
    return look(data, sample, sample.name in pictured)


class _Census:
    """The running sums."""

    def __init__(self, table: ClassTable) -> None:
        count = len(table.names)
        self._table = table
        self._together = np.zeros((count, count), np.int64)
        self._alone, self._in_truth, self._pixels = np.zeros((3, 256), np.int64)
        self._only_tagged, self._only_in_truth = np.zeros((2, 256), np.int64)
        self._tags, self._sizes = Counter[int](), Counter[tuple[int, int]]()
        self._same: dict[str, list[Sample]] = defaultdict(list)
        self._problems = list[Problem]()
        self._pictures: dict[str, Picture] = {}
        self._read_truth = 0

    def add(self, seen: Seen) -> None:
        tags = list(seen.sample.tags)
        self._tags[len(tags)] += 1
        self._together[np.ix_(tags, tags)] += 1
        if len(tags) == 1:
            self._alone[tags[0]] += 1
        if seen.size is not None:
            self._sizes[seen.size] += 1
        if seen.digest is not None:
            self._same[seen.digest].append(seen.sample)
        if seen.pixels is not None:
            self._read_truth += 1
            self._pixels += seen.pixels
            tagged, there = np.zeros(256, bool), seen.pixels > 0
            tagged[tags] = True
            self._in_truth += there
            self._only_tagged += tagged & ~there
            self._only_in_truth += there & ~tagged
        if seen.picture is not None:
            self._pictures[seen.sample.name] = seen.picture
        self._problems.extend(seen.problems)

    def result(self, data: DataSet, shown: Mapping[int, tuple[str, ...]]) -> Inspection:
        groups = [group for group in self._same.values() if len(group) > 1]
        pixels = int(self._pixels.sum())
        return Inspection(
            table=self._table,
            photographs=len(data.samples),
            classes=tuple(
                ClassCensus(
                    index,
                    self._table.names[index],
                    int(self._together[index, index]),
                    int(self._alone[index]),
                    int(self._in_truth[index]),
                    int(self._pixels[index]),
                    int(self._only_tagged[index]),
                    int(self._only_in_truth[index]),
                )
                for index in self._table.foreground
            ),
            tags=dict(self._tags),
            together=self._together,
            sizes=dict(self._sizes),
            listed_truth=sum(sample.has_ground_truth for sample in data.samples),
            read_ground_truth=self._read_truth,
            void=int(self._pixels[VOID]) / pixels if pixels else math.nan,
            duplicates=tuple(
                Duplicates(
                    tuple(one.name for one in group),
                    tuple(one.source for one in group),
                    len({one.tags for one in group}) == 1,
                )
                for group in groups
            ),
            problems=(*data.problems, *self._problems),
            shown=shown,
            pictures=self._pictures,
        )
