"""A folder of ground-truth masks as a data set, which can be scored without photographs and tags."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.ground_truth import not_masks
from dhr.data.listing import list_files
from dhr.data.samples import Problem, Sample
from dhr.errors import ItemError
from dhr.evaluate.masks import Mask, classes_of, masks_in


class GroundTruthFolder:
    """The PNG masks of a folder; implements :class:`~dhr.data.samples.DataSet`, except photographs.

    Every class counts as a tag of every photograph, because scores use only tags that the ground truth has too.

    Raises:
        DataError: no folder, no PNG in it, or no telling the classes (:func:`~dhr.evaluate.masks.classes_of`).
    """

    def __init__(self, folder: Path) -> None:
        self.classes = classes_of(folder)
        self.problems: tuple[Problem, ...] = ()  # scoring finds unreadable masks
        self.stray_ground_truth = tuple(not_masks(list_files(folder, frozenset({".png"})).problems))
        self._masks: dict[str, Mask] = {mask.name: mask for mask in masks_in(folder, self.classes)}
        first = next(iter(self._masks.values()))
        self.notes = () if first.numbering is None else first.numbering.all_notes
        tags = tuple(self.classes.foreground)
        self.samples = tuple(
            Sample(mask.name, mask.source, tags, has_ground_truth=True) for mask in self._masks.values()
        )

    def digest(self, sample: Sample) -> str:
        """There is no photograph, so this raises ItemError."""
        raise ItemError(
            f"{sample.source}: a folder of ground-truth masks has no photographs; give the data set with --data"
        )

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """There is no photograph, so this raises ItemError."""
        raise ItemError(
            f"{sample.source}: a folder of ground-truth masks has no photographs; give the data set with --data"
        )

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Return class ids and :data:`~dhr.data.samples.VOID`.

        Raises:
            ItemError: it cannot be read, or holds ids that are no class.
        """
        return self._masks[sample.name].read()
