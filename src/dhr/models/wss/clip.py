"""CLIP without training (CLIP-ES, Lin et al., CVPR 2023): class maps from the names of the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from dhr.models.words.vocabulary import Vocabulary
from dhr.models.wss import WssConfig, WssMaps
from dhr.models.wss.attention import doubly_stochastic
from dhr.models.wss.boxes import in_boxes
from dhr.models.wss.cams import frozen

REFINING = 8
"""Blocks, the last of the image encoder, whose attention refines the maps."""
_INSIDE = 0.4
"""Share of a map's peak from which a position belongs to the class; maps spread only in boxes around such parts."""


class ClipMaps(nn.Module):
    """Softmax Grad-CAM of an image encoder, for texts of the photograph's tags and of its likely surroundings.

    The image feature is the mean of its patches; its scores for all texts compete in a softmax: the names of the tags,
    of things that are taken for them, and of the surroundings. A tag's score is the sum of those of its names. Its
    gradients weight the channels of the last block's first norm. Maps are in 0..1, because the gradients of a class
    that wins clearly are small.
    """

    mean: Tensor
    std: Tensor
    texts: Tensor
    surroundings: Tensor

    def __init__(
        self,
        network: Any,
        vocabulary: Vocabulary,
        texts: Float[Tensor, "n d"],
        mean: Float[Tensor, "3 1 1"],
        std: Float[Tensor, "3 1 1"],
        config: WssConfig,
    ) -> None:
        """Take the image encoder of a ``CLIPModel``, and its text features of unit length.

        Args:
            network: the ``CLIPModel``.
            vocabulary: the names of the classes.
            texts: features of these names, then those of the surroundings.
            mean: that images are reduced by.
            std: that they are divided by.
            config: settings of the maps.
        """
        super().__init__()
        self.vocabulary, count = vocabulary, len(vocabulary.names)
        self.register_buffer("texts", texts[:count], persistent=False)
        self.register_buffer("surroundings", texts[count:], persistent=False)
        self.vision, self.projection = network.vision_model, network.visual_projection
        self.scale = float(network.logit_scale.detach().exp())
        layers = len(self.vision.encoder.layers)
        self.blocks = tuple(block % layers for block in config.blocks)
        self.refine = config.refine
        self.patch = int(self.vision.config.patch_size)
        self.dim = 2 * int(self.vision.config.hidden_size)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.requires_grad_(False)

    @property
    def tags_apart(self) -> bool:
        """See :class:`~dhr.models.wss.WssModel`: the tags of a photograph compete."""
        return False

    @torch.no_grad()
    def maps(self, images: Float[Tensor, "b 3 h w"], tags: Sequence[int] | None = None) -> WssMaps:
        """Compute maps in 0..1 and features of RGB images in 0..1; the tags of a photograph compete."""
        wanted = list(range(len(self.vocabulary.asked)) if tags is None else tags)
        with torch.inference_mode(False):
            images = images.clone() if images.is_inference() else images
            size = [max(1, round(side / self.patch)) for side in images.shape[-2:]]
            hidden, tokens, between = self._encode(images, size)
            maps = self._gradcam(hidden, wanted).unflatten(2, size)  # type: ignore[no-untyped-call]
            maps = _peak(maps)
            if self.refine:
                maps = _peak(_refined(maps, doubly_stochastic(between)))
            features = [normalize(one[:, 1:].transpose(1, 2)).unflatten(2, size) for one in tokens]  # type: ignore[no-untyped-call]
        return WssMaps(cams=maps, features=torch.cat(features, dim=1))

    def _encode(self, images: Tensor, size: Sequence[int]) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return tokens before the last block, those after the two blocks, and the mean attention between patches."""
        pixels = [cells * self.patch for cells in size]
        if list(images.shape[-2:]) != pixels:
            images = interpolate(images, pixels, mode="bilinear", align_corners=False, antialias=True)
        hidden = self.vision.embeddings((images - self.mean) / self.std, interpolate_pos_encoding=True)
        hidden = self.vision.pre_layrnorm(hidden)
        layers = self.vision.encoder.layers
        kept: dict[int, Tensor] = {}
        between = hidden.new_zeros(())
        for index, layer in enumerate(layers):
            if self.refine and index >= len(layers) - REFINING:
                between = between + _attention(layer, hidden)[:, 1:, 1:]
            before, hidden = hidden, layer(hidden, None)
            kept[index] = hidden if index in self.blocks else hidden.new_empty(0)
        return before, [kept[block] for block in self.blocks], between

    def _gradcam(self, hidden: Tensor, tags: list[int]) -> Float[Tensor, "b t n"]:
        last = self.vision.encoder.layers[-1]
        needed = self.vocabulary.needed(tags)
        places = {index: place for place, index in enumerate(needed)}
        texts = torch.cat([self.texts[needed], self.surroundings])
        with torch.enable_grad(), frozen(self):
            part = last.layer_norm1(hidden).detach().requires_grad_()
            after = hidden + last.self_attn(hidden_states=part, attention_mask=None)[0]
            after = after + last.mlp(last.layer_norm2(after))
            seen = self.projection(self.vision.post_layernorm(after)[:, 1:].mean(dim=1))
            scores = self.scale * normalize(seen) @ texts.T  # (b, n + s)
            shares = scores.softmax(dim=1)
            maps = [torch.empty(len(hidden), 0, hidden.shape[1] - 1, device=hidden.device)]
            for tag in tags:
                own = [places[index] for index in self.vocabulary.asked[tag]]
                rivals = len(texts) > len(own)  # a softmax needs a competitor
                score = (shares if rivals else scores)[:, own].sum()
                (slope,) = torch.autograd.grad(score, part, retain_graph=True)
                weights = slope[:, 1:].mean(dim=1, keepdim=True)  # (b, 1, d)
                maps.append((part.detach()[:, 1:] * weights).sum(dim=2).relu().unsqueeze(1))
        return torch.cat(maps, dim=1)


def _attention(layer: Any, hidden: Tensor) -> Float[Tensor, "b n n"]:
    """Compute the mean over the heads, one head at a time, to save memory."""
    module = layer.self_attn
    states = layer.layer_norm1(hidden)
    queries, keys = (
        project(states).unflatten(2, (module.num_heads, -1)).transpose(1, 2)
        for project in (module.q_proj, module.k_proj)
    )  # (b, heads, n, d)
    total: Tensor = hidden.new_zeros(())
    for head in range(module.num_heads):
        total = total + (queries[:, head] @ keys[:, head].transpose(1, 2) * module.scale).float().softmax(dim=2)
    mean: Tensor = total / module.num_heads
    return mean


def _refined(maps: Float[Tensor, "b t u v"], affinity: Float[Tensor, "b n n"]) -> Float[Tensor, "b t u v"]:
    """Take two steps along the affinity, inside the boxes around the class's parts."""
    inside = maps * in_boxes(maps >= _INSIDE)
    columns = inside.flatten(2).transpose(1, 2).to(affinity.dtype)  # (b, n, t)
    return (affinity @ (affinity @ columns)).transpose(1, 2).reshape(maps.shape)


def _peak(maps: Float[Tensor, "b t u v"]) -> Float[Tensor, "b t u v"]:
    """Each map's range, stretched to 0..1; one that is the same everywhere becomes 0."""
    maps = maps.float()
    maps = maps - maps.amin(dim=(2, 3), keepdim=True)
    peak = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(peak > 0, maps / torch.where(peak > 0, peak, 1), 0)
