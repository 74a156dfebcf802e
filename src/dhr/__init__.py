"""Image tags in, pixel masks out: weakly-supervised segmentation that keeps small classes beside big ones.

The method alone, on your own arrays::

    result = dhr.rebalance(cams, uss_features, wss_features, images)
    result.mask

Soft masks along the edges of images (dense CRF, PAMR, random walk)::

    dhr.refine(images, scores)

The whole way from photographs and tags is the command ``dhr run``, or :func:`dhr.pipeline.run`.
"""

from dhr.arrays import pad_classes, rebalance, refine
from dhr.errors import DhrError
from dhr.method.config import PRESETS, BoundaryConfig, MethodConfig
from dhr.types import Rebalanced

__version__ = "0.1.0"

__all__ = ["PRESETS", "BoundaryConfig", "DhrError", "MethodConfig", "Rebalanced", "pad_classes", "rebalance", "refine"]
