"""Image tags in, pixel masks out: weakly-supervised segmentation that keeps small classes beside big ones.

The method alone, on your own arrays::

    result = dhr.rebalance(cams, uss_features, wss_features, images)
    result.mask

Soft masks along the edges of images (dense CRF, PAMR, random walk)::

    dhr.refine(images, scores)

The whole way from photographs and tags is the command ``dhr run``, or :func:`dhr.job.run`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dhr.errors import DhrError

__version__ = "0.1.0"

__all__ = ["PRESETS", "BoundaryConfig", "DhrError", "MethodConfig", "Rebalanced", "pad_classes", "rebalance", "refine"]

_HOME = {
    **dict.fromkeys(("pad_classes", "rebalance", "refine"), "dhr.arrays"),
    **dict.fromkeys(("PRESETS", "BoundaryConfig", "MethodConfig"), "dhr.method.config"),
    "Rebalanced": "dhr.types",
}

if TYPE_CHECKING:
    from dhr.arrays import pad_classes, rebalance, refine
    from dhr.method.config import PRESETS, BoundaryConfig, MethodConfig
    from dhr.types import Rebalanced
else:

    def __getattr__(name: str) -> Any:
        """Import what is asked for: PyTorch takes longer to load than some of the commands take to run."""
        if name not in _HOME:
            raise AttributeError(f"module 'dhr' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
