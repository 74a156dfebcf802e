"""The networks of map sources, by `wss.kind`, built as their sources do."""

from collections.abc import Sequence
from typing import Any

from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier
from dhr.models.wss.clip_build import build_clip
from dhr.models.wss.irn import IrnClassifier

KINDS = ("classifier", "irn", "clip")


def build_wss(config: WssConfig, names: Sequence[str]) -> Any:
    """The network of ``config.kind`` for the classes ``names``."""
    if config.kind == "clip":
        return build_clip(config, names)
    return {"classifier": TagClassifier, "irn": IrnClassifier}[config.kind](config, len(names))
