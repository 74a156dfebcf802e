"""Mask2Former as a student: queries that each give a class and a mask (Cheng et al. 2022, arXiv 2112.01527)."""

import re
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from dhr.models.modes import freeze_statistics
from dhr.models.student import Group

UNUSED = re.compile(r"(\w+\.)?layernorm\.")
"""The last norm of backbones that were made to classify; each of their maps has one of its own."""


class Queries(NamedTuple):
    """Outputs of the network for a batch of images: of the queries at the beginning, then of each layer."""

    classes: Float[Tensor, "l b q c1"]
    """Logits of the classes, and last of "no object"."""
    masks: Float[Tensor, "l b q u v"]
    """Logits of each query's mask, at a quarter of the size."""


class Mask2FormerStudent(nn.Module):
    """A :class:`~dhr.models.student.StudentModel` on transformers' Mask2Former; it has no maps to rebalance."""

    kind = "mask2former"
    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, mean: Tensor, std: Tensor, background: bool) -> None:
        """Take a ``Mask2FormerForUniversalSegmentation``; ``mean`` and ``std`` (3, 1, 1) are of RGB in 0..1."""
        super().__init__()
        self.network, self.background, self.save_memory = network, int(background), False
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        for name, parameter in self._encoder.named_parameters():
            if UNUSED.match(name):
                parameter.requires_grad_(False)

    @property
    def _encoder(self) -> nn.Module:
        encoder: nn.Module = self.network.model.pixel_level_module.encoder
        return encoder

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Queries:
        """Return classes and masks by all layers, of RGB images in 0..1."""
        if self.save_memory and torch.is_grad_enabled():
            classes, masks = checkpoint(self._layers, images, use_reentrant=False)
        else:
            classes, masks = self._layers(images)
        return Queries(classes, masks)

    def _layers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        made = self.network(pixel_values=(images - self.mean) / self.std, output_auxiliary_logits=True)
        layers = [(one["class_queries_logits"], one["masks_queries_logits"]) for one in made.auxiliary_logits]
        layers.append((made.class_queries_logits, made.masks_queries_logits))
        classes, masks = (torch.stack(one) for one in zip(*layers, strict=True))
        return classes, masks

    def segment(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute probabilities of all classes for each pixel of RGB images in 0..1.

        The paper's semantic inference: the sum over the queries of p(class) times p(mask), divided by its sum over the
        classes, as students give probabilities.
        """
        made = self.network(pixel_values=(images - self.mean) / self.std)
        masks = made.masks_queries_logits.float()
        return _semantic(
            made.class_queries_logits, interpolate(masks, images.shape[-2:], mode="bilinear", align_corners=False)
        )

    def coarse(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c p q"]:
        """Compute the same on the grid of the masks of the queries, a quarter of the size."""
        made = self.network(pixel_values=(images - self.mean) / self.std)
        return _semantic(made.class_queries_logits, made.masks_queries_logits.float())

    def groups(self) -> list[Group]:
        """Return the backbone and the rest; neither norms nor embeddings decay, as in the authors' settings."""
        backbone = {id(one) for one in self._encoder.parameters()}
        spared = set()
        for module in self.modules():
            if isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.Embedding | nn.modules.batchnorm._BatchNorm):
                spared |= {id(one) for one in module.parameters(recurse=False)}
        for name, parameter in self.named_parameters():
            if name.endswith(("level_embed", "relative_position_bias_table", "position_embeddings")):
                spared.add(id(parameter))
        trained = [one for one in self.parameters() if one.requires_grad]
        made = []
        for new in (False, True):
            for decay in (False, True):
                some = [one for one in trained if (id(one) not in backbone) == new and (id(one) not in spared) == decay]
                if some:
                    made.append(Group(some, new=new, decay=decay))
        return made

    def set_modes(self, freeze_norm: bool) -> None:
        """Training mode, but for the batch statistics of a pretrained backbone, if it has any."""
        self.train()
        if freeze_norm:
            freeze_statistics(self._encoder)

    def describe(self) -> dict[str, Any]:
        """Transformers' settings of the network, and how images are normalised."""
        config = self.network.config.to_dict()
        for part in (config, config["backbone_config"]):
            for key in ("transformers_version", "_name_or_path", "architectures", "id2label", "label2id", "dtype"):
                part.pop(key, None)
        mean, std = (value.flatten().tolist() for value in (self.mean, self.std))
        return {"network": config, "mean": mean, "std": std}


def _semantic(logits: Float[Tensor, "b q c1"], masks: Float[Tensor, "b q u v"]) -> Float[Tensor, "b c u v"]:
    """Return probabilities from logits of the classes (last of "no object") and of the masks of the queries."""
    classes = logits.float().softmax(dim=-1)[..., :-1]
    scores = torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid()).float()
    return scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-12)
