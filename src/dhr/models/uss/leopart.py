"""Leopart (Ziegler and Asano, CVPR 2022): a Vision Transformer whose last blocks were tuned to tell parts apart."""

from dataclasses import replace
from pathlib import Path

from dhr.errors import ConfigError, WeightsError
from dhr.models.uss import UssConfig
from dhr.models.uss.backbone import Backbone, backbone_of, build_backbone
from dhr.models.uss.checkpoint import below, read_checkpoint, tensors_in
from dhr.models.weights import HUB, NONE


def build_leopart(config: UssConfig) -> Backbone:
    """Build the network of a checkpoint of Leopart's authors, without its projection head and prototypes.

    Raises:
        ConfigError: no checkpoint is named.
        WeightsError: the file is damaged, or of another model.
    """
    if config.weights == NONE:
        return build_backbone(config)
    if config.weights == HUB:
        raise ConfigError("uss.kind leopart needs --uss.weights FILE, a checkpoint of its authors; it is on no hub")
    source = f"--uss.weights: {config.weights}"
    content, _ = read_checkpoint(Path(config.weights), "uss.weights")
    state = tensors_in(content, "state_dict")
    network = below(state, "model.") or below(state, "teacher.")
    if "projection_head.0.weight" not in network and "prototypes.weight" not in network:
        raise WeightsError(
            f"{source} is not a checkpoint of uss.kind leopart: expected model.prototypes.weight, it has "
            f"{', '.join(list(state)[:3]) or 'no parameters'}"
        )
    return backbone_of(replace(config, weights=HUB), network, source)
