"""Tags of data sets that publish masks only: the classes that a photograph's truth mask shows."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dhr.data.ground_truth import MaskFile
from dhr.data.samples import VOID
from dhr.errors import ItemError
from dhr.progress import Progress, Step


def tags_of_masks(
    masks: Mapping[str, MaskFile], progress: Progress
) -> Callable[[str], tuple[tuple[int, ...], str | None]]:
    """Reads all masks, and gives the tags of each name, or why there are none.

    That is how the field tags PASCAL-Context, ADE20K and COCO-Stuff, which have no image-level labels: of the mask,
    only the set of classes is used. It takes a few milliseconds a mask and processor.
    """
    known: dict[str, tuple[tuple[int, ...], str | None]] = {}
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:  # decoding holds no lock
        for done, (name, tags) in enumerate(zip(masks, pool.map(_tags, masks.values()), strict=True), start=1):
            known[name] = tags
            progress(Step("open", done, len(masks)))
    return lambda name: known.get(name, ((), "no ground-truth mask to take its tags from; add one, or a tags.csv"))


def _tags(mask: MaskFile) -> tuple[tuple[int, ...], str | None]:
    try:
        present = np.flatnonzero(np.bincount(mask.read(None).ravel(), minlength=VOID + 1))
    except ItemError as error:
        return (), str(error)
    start = int(mask.storage.classes.background)
    return tuple(int(label) for label in present if start <= label < VOID), None
