"""What a run kept of the steps of a photograph: masks and CAMs."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8

from dhr.data.images import read_mask
from dhr.errors import DhrError
from dhr.files import is_own_file
from dhr.job.folder import OutputFolder
from dhr.report.cams import stored_cams
from dhr.review.answers import RefusedError
from dhr.review.photographs import Photograph, Photographs
from dhr.words import STAGE_NAMES

STEPS = tuple(step for step in STAGE_NAMES if step != "mask")
"""Steps of the method whose masks a run may keep, in order."""


def layers_of(folder: OutputFolder, name: str) -> list[str]:
    """Return the steps for which a run kept the mask of a photograph."""
    found = []
    for step in STEPS:
        try:
            if is_own_file(folder.stage(step, name)):
                found.append(step)
        except DhrError:  # a link in the place of a folder
            continue
    return found


def step_mask(photographs: Photographs, photograph: Photograph, step: str) -> UInt8[np.ndarray, "h w"]:
    """Return the mask of a photograph after a step of the method.

    Raises:
        RefusedError: the step is unknown.
        DhrError: the mask is missing or damaged, or does not fit the photograph.
    """
    if step not in STEPS:
        raise RefusedError(404, f"expected a step, one of {', '.join(STEPS)}")
    path = photographs.run.folder.stage(step, photograph.sample.name)
    return photographs.checked(photograph, read_mask(path, photograph.size))


def stored_cam(photographs: Photographs, photograph: Photograph, tag: int) -> UInt8[np.ndarray, "u v"] | None:
    """Return the CAM of a class that the run kept, 0..255; None if it kept none."""
    found = _stored(photographs, photograph).get(tag)
    return None if found is None else np.rint(np.clip(found.astype(np.float32), 0, 1) * 255).astype(np.uint8)


def stored_tags(photographs: Photographs, photograph: Photograph) -> list[int]:
    """Return the ids of the classes whose CAMs the run kept."""
    return sorted(_stored(photographs, photograph))


def _stored(photographs: Photographs, photograph: Photograph) -> Mapping[int, Float[np.ndarray, "u v"]]:
    return stored_cams(photographs.run.folder.root / "cams", photograph.sample.name, photographs.classes)
