"""Builds SAM and its successors from transformers' hub, or from a folder that `save_pretrained` wrote."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from dhr.models.cards import HALF, IMAGENET
from dhr.models.precision import Resolved
from dhr.models.pretrained import Place, read_kind, read_network, transformers_for
from dhr.models.remote import Remote
from dhr.models.sam.network import Frame, Sam

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "sam": "SamModel",
        "sam_hq": "SamHQModel",
        "sam2": "Sam2Model",
        "sam2_video": "Sam2Model",
        "sam3_tracker": "Sam3TrackerModel",
        "sam3_tracker_video": "Sam3TrackerModel",
        "sam3_video": "Sam3TrackerModel",
        "edgetam": "EdgeTamModel",
        "edgetam_video": "EdgeTamModel",
    }
)
"""Classes of transformers by the `model_type` of a config.json. Files of video models hold those of image models."""
_WHAT = "network that segments what a prompt points to"
_EXAMPLE = "facebook/sam2.1-hiera-small"
_PADDED = {"SamModel": 1, "SamHQModel": 2}
"""Models that pad images, and the maps of their embeddings."""


def sam_remote(model: str, weights: str, setting: str) -> Remote | None:
    """Name what a SAM takes from the hub; None if it is in a folder."""
    return _place(model, weights, setting).remote


def build_sam(
    model: str, weights: str, setting: str, device: torch.device | None = None, precision: Resolved = "float32"
) -> Sam:
    """Build a network that segments anything. Nothing that is read is executed.

    Args:
        model: a name of the hub, or a folder.
        weights: ``hub`` (those of ``model``), ``none`` (random), or a folder.
        setting: the setting that holds ``model``, for messages.
        device: where it computes; None for the CPU.
        precision: of its products.

    Raises:
        ConfigError: transformers is not installed, or the model is of another kind.
        WeightsError: it is missing or damaged.
    """
    place = _place(model, weights, setting)
    transformers = transformers_for(setting)
    kind = read_kind(transformers, place, KINDS)
    made: Any = getattr(transformers, KINDS[kind])
    torch.manual_seed(0)  # random weights are the same in each call
    network: Any = read_network(made, place)
    encoder = network.config.prompt_encoder_config
    side = int(encoder.image_size)
    frame = Frame(side, 4 * side // int(encoder.patch_size), KINDS[kind] in _PADDED, _PADDED.get(KINDS[kind], 3))
    scaling = HALF if KINDS[kind] == "Sam3TrackerModel" else IMAGENET
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in scaling)
    return Sam(network, frame, mean, std, precision).to(device or torch.device("cpu"))


def _place(model: str, weights: str, setting: str) -> Place:
    return Place(model, weights, setting, _WHAT, example=_EXAMPLE, only=not setting.endswith(".model"))
