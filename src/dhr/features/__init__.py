"""USS features of photographs: computed once, kept on disk, read by all that need them; see docs/features.md."""

from dhr.features.fill import Filled, fill
from dhr.features.reader import Features
from dhr.features.settings import StoreConfig
from dhr.features.store import FeatureStore, known_reduction

__all__ = ["FeatureStore", "Features", "Filled", "StoreConfig", "fill", "known_reduction"]
