"""STEGO (Hamilton et al., ICLR 2022) and Hidden Positives (Seong et al., CVPR 2023): a head of two branches.

Both sit on a frozen Vision Transformer; the names of the parameters are the authors'.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dhr.errors import ConfigError, WeightsError
from dhr.models.modes import evaluating
from dhr.models.uss import UssConfig
from dhr.models.uss.backbone import Backbone, backbone_of, build_backbone
from dhr.models.uss.checkpoint import below, read_checkpoint, tensors_in
from dhr.models.uss.head_file import HeadFile, parsed, refuse_below
from dhr.models.weights import fit_state


class StegoHead(nn.Module):
    """The sum of a linear map and of one with a hidden layer, applied to each cell separately.

    ``centre`` is subtracted first; it is the mean of the features for heads that were trained here, and 0 for others.
    """

    centre: Tensor

    def __init__(self, dim: int, code: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = {"dim": dim, "code": code}
        self.cluster1 = nn.Sequential(nn.Conv2d(dim, code, 1))
        self.cluster2 = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.ReLU(), nn.Conv2d(dim, code, 1))
        self.dropout = nn.Dropout2d(dropout)
        self.register_buffer("centre", torch.zeros(dim))

    def forward(self, features: Float[Tensor, "b d u v"]) -> Float[Tensor, "b c u v"]:
        """Compute codes; in training, each branch drops some channels at random."""
        centred = features - self.centre[:, None, None]
        code: Tensor = self.cluster1(self.dropout(centred)) + self.cluster2(self.dropout(centred))
        return code


class HeadedFeatures(nn.Module):
    """A head on a frozen network."""

    def __init__(self, backbone: Backbone, head: nn.Module, dim: int) -> None:
        super().__init__()
        self.backbone, self.head, self.dim = backbone.eval(), head.eval(), dim
        self.cell, self.trained_on = backbone.cell, backbone.trained_on
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Compute codes of RGB images in 0..1, on the network's grid; the mode of the head does not matter."""
        with evaluating(self.head):
            codes: Tensor = self.head(self.backbone(images))
        return codes


def build_stego(config: UssConfig) -> HeadedFeatures:
    """Build STEGO or Hidden Positives, by ``config.kind``.

    Raises:
        ConfigError: no head is named, or timm lacks the model.
        WeightsError: the file is damaged, or of another model.
    """
    source = f"--uss.head: {config.head}"
    content, about = read_checkpoint(Path(needed_head(config)), "uss.head")
    ours = parsed(content, about, source)
    if ours is not None:
        return own_head(StegoHead, ours, config, source)
    state, network = (_authors_stego if config.kind == "stego" else _authors_hp)(content)
    first = state.get("cluster1.0.weight")
    if first is None or first.dim() != 4:
        known = ", ".join(list(tensors_in(content, "state_dict", "net_model_state_dict"))[:3]) or "no parameters"
        raise WeightsError(
            f"{source} is not a checkpoint of uss.kind {config.kind}: expected "
            f"{'net.' if config.kind == 'stego' else ''}cluster1.0.weight, it has {known}"
        )
    head = StegoHead(first.shape[1], first.shape[0])
    fit_state(head, {**state, "centre": head.centre}, source, f"the head of {config.kind}")
    backbone = backbone_of(config, network, source)
    refuse_width(backbone, first.shape[1], config, source)
    return HeadedFeatures(backbone, head, first.shape[0])


def own_head(kind: Callable[..., nn.Module], file: HeadFile, config: UssConfig, source: str) -> HeadedFeatures:
    """Build a head that was trained here, on the network below it.

    Raises:
        ConfigError: timm lacks the network.
        WeightsError: the head is of another kind or network.
    """
    if file.kind != config.kind:
        raise WeightsError(
            f"{source} is a head of uss.kind {file.kind}, not {config.kind} (it begins with "
            f"{', '.join(list(file.state)[:3])}); set --uss.kind {file.kind}"
        )
    backbone = build_backbone(config)
    refuse_below(file, config, backbone, source)
    head = kind(**file.shape)
    fit_state(head, file.state, source, f"the head of {file.kind}")
    return HeadedFeatures(backbone, head, file.shape["code"])


def _authors_stego(content: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Head and network in a Lightning checkpoint of STEGO's authors, or in its state dict alone."""
    net = below(tensors_in(content, "state_dict"), "net.")
    return {key: value for key, value in net.items() if key.startswith("cluster")}, below(net, "model.")


def _authors_hp(content: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Head and network in a checkpoint of Hidden Positives; its moving average of the head is not used."""
    net = tensors_in(content, "net_model_state_dict")
    return {key: value for key, value in net.items() if key.startswith("cluster")}, below(net, "model.")


def needed_head(config: UssConfig) -> str:
    """Return the path of the head.

    Raises:
        ConfigError: no file is named.
    """
    if config.head is None:
        made = "head.safetensors of `dhr train-head`, or " if config.kind != "hp" else ""
        raise ConfigError(f"uss.kind {config.kind} needs --uss.head FILE: {made}a checkpoint of its authors")
    return config.head


def refuse_width(backbone: Backbone, wanted: int, config: UssConfig, source: str) -> None:
    """Raise WeightsError if a network has another number of channels than the head needs."""
    if backbone.dim != wanted:
        raise WeightsError(
            f"{source} sits on features of {wanted} channels, uss.model {config.model!r} has {backbone.dim}; "
            "name the model that it was trained on"
        )
