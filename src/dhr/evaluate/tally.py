"""Adds up masks, one photograph at a time, and turns the sums into scores."""

import heapq
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from dhr.data.samples import ClassTable, Sample
from dhr.evaluate.bootstrap import Bootstrap, Interval, interval
from dhr.evaluate.counts import COLUMNS, Counts, class_sums, count, image_miou
from dhr.evaluate.measures import Measures, measures
from dhr.evaluate.scores import BY_CLASS, WHOLE, ClassScore, Confused, ImageScore, Scores

_CONFUSED = 100  # pairs of classes that are kept


class Tally:
    """The running sums: as large as the classes are many; of a photograph only its name and one number stay.

    ``most``: photographs of which they stay, the worst ones; None for all. ``resamples``: resamplings of a bootstrap
    (:mod:`dhr.evaluate.bootstrap`); 0 skips it. Its ``seed``, and the order in which photographs are added, decide on
    the intervals; the scores do not depend on either.
    """

    def __init__(self, classes: ClassTable, resamples: int = 0, seed: int = 0, most: int | None = None) -> None:
        self._classes, self._most = classes, most
        many = len(classes.names)
        self._matrix: Int64[np.ndarray, "classes columns"] = np.zeros((many, many + 1), dtype=np.int64)
        self._sums = np.zeros((many, len(COLUMNS)))
        self._with_pairs = {"minor_iou": 0, "vanished": 0}  # photographs
        self._bootstrap = Bootstrap(many, resamples, seed) if resamples else None
        self._images: list[tuple[int, ImageScore]] = []  # each with its place
        self._photographs = 0

    def add(self, sample: Sample, pred: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"]) -> None:
        """Count one photograph: labels are class ids, or 255 for void."""
        self.add_counts(sample, count(pred, truth, len(self._classes.names)))

    def add_counts(self, sample: Sample, counts: Counts) -> None:
        """Add one photograph that was counted elsewhere."""
        sums = class_sums(counts, sample.tags, self._classes)
        self._matrix += counts.matrix
        self._sums += sums
        for name, column in (("minor_iou", 8), ("vanished", 10)):
            self._with_pairs[name] += bool(sums[:, column].any())
        if self._bootstrap is not None:
            self._bootstrap.add(sums)
        self._images.append((self._photographs, ImageScore(sample.name, image_miou(counts))))
        self._photographs += 1
        if self._most is not None and len(self._images) >= 2 * self._most:
            self._images = self._worst()

    @property
    def photographs(self) -> int:
        """The number of photographs that were added."""
        return self._photographs

    def _worst(self) -> list[tuple[int, ImageScore]]:
        """Return the photographs that stay."""
        if self._most is None:
            return self._images
        return heapq.nsmallest(self._most, self._images, key=lambda one: (_last(one[1].miou), one[0]))

    def resampled(self) -> Measures | None:
        """The scores of each resampling, if there are any."""
        return None if self._bootstrap is None else self._bootstrap.measures()

    def scores(
        self, resampled: Measures | None = None, unnamed: Mapping[str, int] | None = None, **left_out: Any
    ) -> Scores:
        """Compute the scores of the added photographs.

        Args:
            resampled: saves making :meth:`resampled` again.
            unnamed: see :attr:`Scores.unnamed`.
            left_out: further members of the scores, such as ``missing``.
        """
        images = [one for _, one in sorted(self._worst(), key=lambda one: one[0])]
        more = {**(unnamed or {}), "per_image": self._photographs - len(images)}
        found = measures(self._sums)
        resampled = self.resampled() if resampled is None else resampled
        minor, _, tagged = (int(self._sums[:, column].sum()) for column in (8, 9, 10))
        whole = _intervals(
            None if resampled is None else resampled.whole, lambda name: self._with_pairs.get(name, self._photographs)
        )
        values: dict[str, Any] = {name: float(found.whole[name]) for name in WHOLE}
        return Scores(
            **values,
            minor_pairs=minor,
            tagged_pairs=tagged,
            minor_photographs=self._with_pairs["minor_iou"],
            tagged_photographs=self._with_pairs["vanished"],
            per_class=tuple(self._class_score(index, found, resampled) for index in range(len(self._classes.names))),
            per_image=tuple(images),
            unnamed={name: number for name, number in more.items() if number},
            confused=self._confused(),
            intervals=whole,
            **left_out,
        )

    def _class_score(self, index: int, found: Measures, resampled: Measures | None) -> ClassScore:
        truth, predicted = (int(self._sums[index, column]) for column in (0, 1))
        minor, vanished, tagged, photographs = (int(self._sums[index, column]) for column in (8, 9, 10, 11))
        few = {"minor_iou": minor, "vanished": tagged}
        own = None if resampled is None else {name: one[:, index] for name, one in resampled.by_class.items()}
        return ClassScore(
            name=self._classes.names[index],
            **{name: float(found.by_class[name][index]) for name in BY_CLASS},
            truth_pixels=truth,
            predicted_pixels=predicted,
            photographs=photographs,
            minor_pairs=minor,
            tagged_pairs=tagged,
            vanished_pairs=vanished,
            intervals=_intervals(own, lambda name: few.get(name, photographs)),
        )

    def _confused(self) -> tuple[Confused, ...]:
        names = (*self._classes.names, "(void)")
        errors = self._matrix.copy()
        np.fill_diagonal(errors, 0)
        order = np.argsort(-errors, axis=None, kind="stable")[:_CONFUSED]
        rows, columns = np.unravel_index(order, errors.shape)
        pairs = [Confused(names[i], names[j], int(errors[i, j])) for i, j in zip(rows, columns, strict=True)]
        return tuple(pair for pair in pairs if pair.pixels)


def _last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _intervals(
    values: Mapping[str, Float64[np.ndarray, " b"]] | None, photographs: Callable[[str], int]
) -> dict[str, Interval]:
    """Intervals of scores, by name, from how many photographs each is of."""
    return {name: interval(name, one, photographs(name)) for name, one in (values or {}).items()}
