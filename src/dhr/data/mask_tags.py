"""Tags from masks, for data sets that publish masks only."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dhr.data.ground_truth import MaskFile
from dhr.data.images import SUFFIXES
from dhr.data.listing import name_of
from dhr.data.samples import VOID, Tagged
from dhr.errors import ItemError
from dhr.progress import Progress, Step


def tags_of_masks(masks: Mapping[str, MaskFile], progress: Progress) -> Callable[[str], Tagged]:
    """Read all masks, and return a function from a photograph's file to the classes that its mask shows.

    The field tags PASCAL-Context, ADE20K and COCO-Stuff in this way, as they have no image-level labels. It takes a few
    milliseconds per mask and processor.
    """
    known: dict[str, Tagged] = {}
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:  # decoding holds no lock
        for done, (name, tagged) in enumerate(zip(masks, pool.map(_tags, masks.values()), strict=True), start=1):
            known[name] = tagged
            progress(Step("open", done, len(masks)))
    nothing = Tagged(reason="no ground-truth mask to take its tags from; add one, or a tags.csv")
    return lambda file: known.get(name_of(file, SUFFIXES), nothing)


def _tags(mask: MaskFile) -> Tagged:
    try:
        present = np.flatnonzero(np.bincount(mask.read(None).ravel(), minlength=VOID + 1))
    except ItemError as error:
        return Tagged(reason=str(error))
    start = int(mask.storage.classes.background)
    return Tagged(tuple(int(label) for label in present if start <= label < VOID))
