"""The photographs from which the networks and the survey of a large data set learn: drawn by class."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

import xxhash

from dhr.data.manifest import ManifestDataSet, Row
from dhr.data.manifest.columns import COLUMNS
from dhr.data.samples import Problem
from dhr.engine.manifest import Manifest, in_split
from dhr.errors import DataError
from dhr.job.survey import PER_CLASS

_NEGATIVE = -1  # the class of photographs without tags


def drawn(manifest: Manifest, most: int | None) -> ManifestDataSet:
    """Draw photographs of a manifest by class; equal rows give equal photographs, in any order of the rows.

    Each class gives the same number of photographs, if it has so many: those with the smallest hash of their id.
    Photographs without tags count as a class.

    Args:
        manifest: the photographs.
        most: the largest number of photographs; None for 200 of each class.

    Raises:
        DataError: no row can be used.
    """
    rows = draw(_rows(manifest), most)
    if not rows:
        raise DataError(f"{manifest.root}: no row can be used; `dhr inspect --data {manifest.root}` names the reasons")
    return ManifestDataSet(manifest.classes, rows)


def draw(rows: Iterable[Row], most: int | None) -> list[Row]:
    """Draw rows by class; see :func:`drawn`."""
    heaps: dict[int, list[tuple[int, str, Row]]] = {}
    size = PER_CLASS if most is None else most
    for row in rows:
        rank = -xxhash.xxh3_64_intdigest(row.name.encode())
        for tag in row.tags or (_NEGATIVE,):
            heap = heaps.setdefault(tag, [])
            if len(heap) < size:
                heapq.heappush(heap, (rank, row.name, row))
            elif rank > heap[0][0]:
                heapq.heapreplace(heap, (rank, row.name, row))
    ranked = [[one[2] for one in sorted(heap, reverse=True)] for heap in heaps.values()]
    return _union(ranked, size if most is None else _per_class(ranked, most))


def _per_class(ranked: Sequence[Sequence[Row]], most: int) -> int:
    """Return the largest number of photographs of each class that are at most ``most`` together, at least 1."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(_union(ranked, middle)) <= most else (low, middle - 1)
    return low


def _union(ranked: Sequence[Sequence[Row]], count: int) -> list[Row]:
    found = {row.name: row for rows in ranked for row in rows[:count]}
    return [found[name] for name in sorted(found)]


def _rows(manifest: Manifest) -> Iterator[Row]:
    reader = manifest.reader()
    for first, batch in manifest.batches(COLUMNS):
        kept = in_split(batch, manifest.split)
        for row, one in enumerate(reader.read(batch, range(first + 1, first + 1 + batch.num_rows))):
            if kept[row] and not isinstance(one, Problem):
                yield one
