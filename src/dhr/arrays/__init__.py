"""The method and the boundary corrections for arrays of any kind: ``dhr.rebalance`` and ``dhr.refine``."""

from dhr.arrays.cams import pad_classes
from dhr.arrays.rebalance import rebalance
from dhr.arrays.refine import refine
from dhr.arrays.settings import boundary_settings, method_settings

__all__ = ["boundary_settings", "method_settings", "pad_classes", "rebalance", "refine"]
