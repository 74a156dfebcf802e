"""USS features of photographs: computed, and kept on disk where there is a store."""

from typing import TYPE_CHECKING

from dhr.lazy import imported_from

__all__ = ["FeatureStore", "Features", "Filled", "StoreConfig", "fill", "known_reduction"]

if TYPE_CHECKING:
    from dhr.features.fill import Filled, fill
    from dhr.features.reader import Features
    from dhr.features.settings import StoreConfig
    from dhr.features.store import FeatureStore, known_reduction
else:  # settings are checked before PyTorch is imported
    __getattr__ = imported_from(
        __name__,
        {
            **dict.fromkeys(("Filled", "fill"), "dhr.features.fill"),
            "Features": "dhr.features.reader",
            "StoreConfig": "dhr.features.settings",
            **dict.fromkeys(("FeatureStore", "known_reduction"), "dhr.features.store"),
        },
    )
