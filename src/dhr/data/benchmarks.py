"""The published benchmarks: names of the classes, their numbers in masks, colours, super-classes."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from dhr.data.palette import voc_colours
from dhr.data.samples import VOID, ClassTable


@dataclass(frozen=True)
class Benchmark:
    """A class table, and how the official masks store it."""

    classes: ClassTable
    stored: tuple[int, ...]
    """Number of each class in the official masks."""
    void: tuple[int, ...]
    """Numbers of pixels without a class."""
    categories: tuple[int, ...] | None = None
    """Ids of the classes in the official annotations, where they are others (COCO: 0, 1..90 with gaps)."""


_TABLES: dict[str, tuple[bool, tuple[int, ...]]] = {
    "voc": (True, (VOID,)),
    "coco": (True, (VOID,)),
    "context": (False, (0, VOID)),
    "ade": (False, (0,)),
    "stuff": (False, (VOID,)),
}
BENCHMARKS = tuple(_TABLES)
"""Names for :func:`benchmark`."""


@cache
def benchmark(name: str) -> Benchmark:
    """Return one of :data:`BENCHMARKS`.

    In VOC and COCO everything else is background, class 0. In PASCAL-Context (59), ADE20K (150) and COCO-Stuff (171)
    every labelled pixel has a class, and all others are void.

    >>> benchmark("ade").classes.names[:2], benchmark("ade").stored[:2], benchmark("ade").void
    (('wall', 'building'), (1, 2), (0,))
    """
    background, void = _TABLES[name]
    with (files("dhr.data") / "tables" / f"{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = rows[0].keys()
    colours = tuple(_colour(row["colour"]) for row in rows) if "colour" in columns else None
    if name == "voc":
        colours = voc_colours(len(rows))
    classes = ClassTable(
        names=tuple(row["class"] for row in rows),
        background=background,
        supers=tuple(row["supercategory"] for row in rows) if "supercategory" in columns else None,
        colours=colours,
    )
    return Benchmark(
        classes,
        stored=tuple(int(row["stored"]) for row in rows),
        void=void,
        categories=tuple(int(row["category"]) for row in rows) if "category" in columns else None,
    )


def _colour(text: str) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in text.split())
    return red, green, blue
