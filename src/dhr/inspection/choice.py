"""Chooses photographs for the page: a few of each class, spread over the data set, each once if there are enough."""

from collections import Counter
from collections.abc import Sequence

from dhr.data.samples import Sample

PICTURES = 320
"""Pictures on a page, at most (but at least one per class)."""
_MOST = 4  # of a class


def chosen(samples: Sequence[Sample], classes: int) -> dict[int, tuple[str, ...]]:
    """Choose photographs; return their names by class id.

    >>> samples = [Sample(name, name, tags, False) for name, tags in (("a", (0, 1)), ("b", (0,)), ("c", (1,)))]
    >>> chosen(samples, 2)
    {0: ('a', 'b'), 1: ('c', 'a')}
    """
    counts = Counter(tag for sample in samples for tag in sample.tags)
    each = max(1, min(_MOST, PICTURES // max(1, len(counts))))
    # Twice as many as are shown stay in memory, so that those that another class shows can be passed over.
    places = {tag: set(_spread(count, 2 * each)) for tag, count in counts.items()}
    found: dict[int, list[str]] = {tag: [] for tag in counts}
    passed = Counter[int]()
    for sample in samples:
        for tag in sample.tags:
            if passed[tag] in places[tag]:
                found[tag].append(sample.name)
            passed[tag] += 1
    shown: dict[int, tuple[str, ...]] = {}
    used = set[str]()
    for tag in sorted(found, key=lambda tag: (len(found[tag]), tag)):  # rare classes have the least to choose from
        new = [name for name in found[tag] if name not in used]
        old = [name for name in found[tag] if name in used]
        shown[tag] = tuple((new + old)[:each])
        used.update(shown[tag])
    return {tag: shown[tag] for tag in range(classes) if tag in shown}


def _spread(count: int, wanted: int) -> list[int]:
    if count <= wanted:
        return list(range(count))
    return [count * (2 * place + 1) // (2 * wanted) for place in range(wanted)]
