"""The share of a data set's foreground that touches another class, and the share of that between super-classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray

from dhr.data.agreement import Agreement, Check
from dhr.data.numbering import Numbering, numbering
from dhr.data.samples import ClassTable, Problem
from dhr.errors import DataError, ItemError
from dhr.evaluate.masks import Mask
from dhr.evaluate.scores import percent, share
from dhr.evaluate.threads import in_order
from dhr.evaluate.vanishing import Vanishing
from dhr.ops.adjacency import Contact, Regions, contact_areas, contact_pairs, find_regions
from dhr.progress import Progress, Step, silent
from dhr.shards import find

CONTACT = 5.0
"""Pixels between two regions that touch. VOC paints a line of void, five pixels wide, where objects meet."""


@dataclass(frozen=True)
class Adjacency:
    """Contact of classes in the masks of a data set; shares are 0..1, NaN of nothing."""

    classes: ClassTable
    """With the super-classes that were used."""
    contact: float
    """Pixels."""
    whole_classes: bool
    """Whether a region is a whole class in a mask, instead of one connected part of it."""
    areas: Contact
    """Pixels, summed over the masks."""
    pairs: Int64[NDArray[Any], "c c"]
    """Pixels of regions of class i that touch class j; on the diagonal, all pixels of class i."""
    together: Int64[NDArray[Any], "c c"]
    """Masks that show both; on the diagonal, masks that show the class."""
    masks: int
    problems: tuple[Problem, ...]
    """Masks that were left out, and why."""
    vanishing: Vanishing | None
    """Counts of vanished classes, if predicted masks were given."""
    checks: tuple[Check, ...] = ()
    """Contradictions between tags, masks and class tables."""

    @property
    def adjacent(self) -> float:
        """Share of the foreground that lies in regions that touch another class."""
        return share(self.areas.adjacent, self.areas.foreground)

    @property
    def inter(self) -> float:
        """Share of that in regions that touch classes of other super-classes only."""
        return share(self.areas.inter_only, self.areas.adjacent)

    @property
    def inter_shared(self) -> float:
        """Share of that, each region weighted by the share of other super-classes among the classes it touches."""
        return share(self.areas.inter_shared, self.areas.adjacent)

    @property
    def inter_any(self) -> float:
        """Share of that in regions that touch at least one class of another super-class."""
        return share(self.areas.inter_any, self.areas.adjacent)

    def ranked(self) -> list[tuple[int, int]]:
        """Pairs of classes i < j in contact, the largest area first."""
        both = np.triu(self.pairs + self.pairs.T, 1)
        order = [(int(i), int(j)) for i, j in np.argwhere(both > 0)]
        return sorted(order, key=lambda pair: (-int(both[pair]), pair))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: shares in percent, rounded to 4 decimals, NaN as ``None``."""
        names, supers = self.classes.names, self.classes.supers
        return {
            "adjacent": percent(self.adjacent),
            "inter": percent(self.inter),
            "inter_shared": percent(self.inter_shared),
            "inter_any": percent(self.inter_any),
            "contact_pixels": self.contact,
            "region": "class" if self.whole_classes else "part",
            "masks": self.masks,
            "foreground_pixels": int(self.areas.foreground),
            "adjacent_pixels": int(self.areas.adjacent),
            "supers": None if supers is None else dict(zip(names, supers, strict=True)),
            "classes": {
                names[i]: {
                    "masks": int(self.together[i, i]),
                    "pixels": int(self.pairs[i, i]),
                }
                for i in self.classes.foreground
                if self.pairs[i, i]
            },
            "pairs": [
                {
                    "classes": [names[i], names[j]],
                    "masks": int(self.together[i, j]),
                    "pixels": [int(self.pairs[i, j]), int(self.pairs[j, i])],
                    "inter": None if supers is None else supers[i] != supers[j],
                }
                for i, j in self.ranked()
            ],
            "vanishing": None if self.vanishing is None else self.vanishing.to_json(),
            "problems": [{"source": problem.source, "reason": problem.reason} for problem in self.problems],
            "checks": [check.to_json() for check in self.checks],
        }


def measure_adjacency(
    masks: Sequence[Mask],
    classes: ClassTable,
    *,
    contact: float = CONTACT,
    whole_classes: bool = False,
    predictions: Path | None = None,
    progress: Progress = silent,
) -> Adjacency:
    """Measure every mask, several at once; memory does not grow with their number.

    Args:
        masks: ground truth.
        classes: without super-classes, :attr:`Adjacency.inter` is NaN.
        contact: largest distance, in pixels, between regions that touch (:func:`~dhr.ops.adjacency.find_regions`).
        whole_classes: a whole class in a mask is one region.
        predictions: folder of ``<name>.png`` of any method; classes that vanish from them are counted.
        progress: called after each mask.

    Raises:
        DataError: no mask can be used, no mask shows a class that its photograph is tagged with, or the folder of
            predictions is missing.
    """
    if predictions is not None and not predictions.is_dir():
        raise DataError(f"there is no folder of masks at {predictions}; check the path of --masks")
    sums = _Sums(masks, classes, predictions)
    look = partial(_look, sums.numbers, contact, whole_classes, predictions, classes)
    for done, seen in enumerate(in_order(look, masks), start=1):
        sums.add(seen)
        progress(Step("adjacency", done, len(masks), "masks"))
    sums.refuse()
    return Adjacency(
        classes, float(contact), whole_classes, sums.shares(), sums.pairs, sums.together, sums.used,
        tuple(sums.problems), sums.vanishing, sums.checks(),
    )  # fmt: skip


class _Sums:
    """Adds up masks."""

    def __init__(self, masks: Sequence[Mask], classes: ClassTable, predictions: Path | None) -> None:
        self.masks, self.classes, self.predictions = masks, classes, predictions
        count = len(classes.names)
        self.supers = np.arange(256)
        if classes.supers is not None:
            upper = {name: number for number, name in enumerate(dict.fromkeys(classes.supers))}
            self.supers[:count] = [upper[name] for name in classes.supers]
        self.pairs, self.together = np.zeros((count, count), np.int64), np.zeros((count, count), np.int64)
        self.areas, self.used, self.problems = Contact(0.0, 0.0, 0.0, 0.0, 0.0), 0, list[Problem]()
        self.agreement = Agreement(classes)
        self.predicted = Agreement(classes, f"masks in {predictions}", complete=False)
        self.vanishing = None if predictions is None else Vanishing(classes)
        self.numbers = None if predictions is None else numbering(classes, predictions, _tagged(predictions, masks))

    def add(self, seen: "_Seen | Problem") -> None:
        if isinstance(seen, Problem):
            self.problems.append(seen)
            return
        self.used += 1
        self.agreement.add(seen.mask.name, seen.mask.tags, seen.pixels)
        self.areas += contact_areas(seen.regions, self.supers)
        self.pairs += contact_pairs(seen.regions, len(self.pairs))
        here = np.zeros(len(self.pairs), np.int64)
        here[seen.regions.labels] = 1
        self.together += np.outer(here, here)
        if isinstance(seen.pred, Problem):
            self.problems.append(seen.pred)
        elif seen.pred is not None and self.vanishing is not None:
            self.vanishing.add(seen.truth, seen.pred, seen.regions)
            self.predicted.add(seen.mask.name, seen.mask.tags, np.bincount(seen.pred.ravel(), minlength=256))

    def refuse(self) -> None:
        first = self.problems[0].reason if self.problems else "no mask"
        if not self.used:
            raise DataError(f"none of the {len(self.masks)} masks can be used: {first}")
        if self.vanishing is not None and not self.vanishing.compared:
            raise DataError(f"none of the masks in {self.predictions} can be compared: {first}")
        self.agreement.refuse_nothing()

    def shares(self) -> Contact:
        if self.classes.supers is not None:
            return self.areas
        return Contact(self.areas.foreground, self.areas.adjacent, math.nan, math.nan, math.nan)

    def checks(self) -> tuple[Check, ...]:
        numberings = (self.masks[0].numbering, self.numbers)
        notes = [note for one in numberings if one is not None for note in one.all_notes]
        return (*(Check("classes", note) for note in notes), *self.agreement.checks(), *self.predicted.checks())


def _tagged(folder: Path, masks: Sequence[Mask]) -> list[tuple[Path, tuple[int, ...] | None]]:
    """Return the predicted masks that exist, with tags."""
    found = ((find(folder, mask.name, ".png"), mask.tags) for mask in masks)
    return [(path, tags) for path, tags in found if path.is_file()]


@dataclass(frozen=True)
class _Seen:
    mask: Mask
    pixels: Int64[NDArray[Any], "256"]
    """By label."""
    truth: UInt8[NDArray[Any], "h w"]
    regions: Regions
    pred: UInt8[NDArray[Any], "h w"] | Problem | None


def _look(
    numbers: Numbering | None,
    contact: float | int,
    whole_classes: bool,
    predictions: Path | None,
    classes: ClassTable,
    mask: Mask,
) -> _Seen | Problem:
    try:
        truth = mask.read()
    except ItemError as error:
        return Problem(mask.source, str(error))
    foreground = np.zeros(256, bool)
    foreground[list(classes.foreground)] = True
    regions = find_regions(truth, foreground, contact)
    pred: UInt8[NDArray[Any], "h w"] | Problem | None = None
    if predictions is not None and numbers is not None:
        path = find(predictions, mask.name, ".png")
        try:
            pred = numbers.read(path, (truth.shape[0], truth.shape[1]))
        except ItemError as error:
            pred = Problem(str(path), str(error))
    # Many large masks may wait to be added up, so pixels are kept only for a comparison.
    kept = truth if predictions is not None else truth[:0]
    return _Seen(
        mask, np.bincount(truth.ravel(), minlength=256), kept, regions.merged() if whole_classes else regions, pred
    )
