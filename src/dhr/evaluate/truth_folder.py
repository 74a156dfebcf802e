"""A folder of truth masks as a data set of its own: what can be scored without photographs and tags."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import ClassTable, Problem, Sample
from dhr.errors import ItemError
from dhr.evaluate.masks import Mask, classes_of, masks_in


class TruthFolder:
    """The PNG masks of a folder; implements :class:`~dhr.data.samples.DataSet`, but for the photographs.

    Every class counts as a tag of every photograph: scores ask of a tag only whether the truth, too, holds the class.

    Raises:
        DataError: no folder, no PNG in it, or no telling the classes (:func:`~dhr.evaluate.masks.classes_of`).
    """

    def __init__(self, folder: Path) -> None:
        self._classes = classes_of(folder)
        self._masks: dict[str, Mask] = {mask.name: mask for mask in masks_in(folder, self._classes)}
        tags = tuple(self._classes.foreground)
        self._samples = tuple(Sample(mask.name, mask.source, tags, has_truth=True) for mask in self._masks.values())

    @property
    def classes(self) -> ClassTable:
        """The class table."""
        return self._classes

    @property
    def samples(self) -> Sequence[Sample]:
        """The masks, sorted by name."""
        return self._samples

    @property
    def problems(self) -> Sequence[Problem]:
        """None: what cannot be read is found when it is scored."""
        return ()

    def digest(self, sample: Sample) -> str:
        """There is no photograph, so this raises ItemError."""
        raise ItemError(f"{sample.source}: there is no photograph of it; give the data set with --data")

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """There is no photograph, so this raises ItemError."""
        raise ItemError(f"{sample.source}: there is no photograph of it; give the data set with --data")

    def read_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`.

        Raises:
            ItemError: it cannot be read, or holds ids that are no class.
        """
        return self._masks[sample.name].read()
