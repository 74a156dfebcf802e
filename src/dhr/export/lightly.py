"""COCO's JSON as LightlyStudio reads masks: run lengths that are not compressed, of annotations marked as crowds.

LightlyStudio reads COCO with labelformat, which takes run lengths only where ``iscrowd`` is 1, and only as numbers; for
all other annotations it expects polygons, which cannot have holes.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from dhr.export.coco import write_instances
from dhr.export.config import ExportConfig
from dhr.export.masks import Masks
from dhr.export.parts import runs


def write_lightly(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write one file; see :func:`~dhr.export.coco.write_instances`."""
    return write_instances(masks, out, config, plain_run_lengths, crowd=1, made="made by dhr for LightlyStudio")


def plain_run_lengths(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """Return COCO's run lengths as numbers, column by column.

    >>> plain_run_lengths(np.array([[True, False], [True, True]]))
    {'size': [2, 2], 'counts': [0, 2, 1, 1]}
    """
    return {"size": list(mask.shape), "counts": runs(mask.T)}
