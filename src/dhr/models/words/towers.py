"""Image encoders of networks that compare images with texts: what each patch shows, in the space of the texts."""

from typing import Any

import torch
from torch import Tensor, nn

from dhr.errors import ConfigError

Seen = tuple[Tensor, Tensor]
"""Patches in the space of the texts, (b, n, d), and as features, (b, n, e)."""


class ClipTower(nn.Module):
    """CLIP and MetaCLIP 2: the values of the last block, each patch for itself (MaskCLIP, Zhou et al., ECCV 2022).

    In the last block a patch would be mixed with those that it attends to. Its own value goes through the block's
    output projection, the last norm and the projection to the space of the texts. The block's residual and its MLP are
    left out, as in ClearCLIP (Lan et al., ECCV 2024).
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.vision, self.projection = network.vision_model, network.visual_projection
        self.patch, self.dim = int(self.vision.config.patch_size), int(self.vision.config.hidden_size)

    def forward(self, pixels: Tensor) -> Seen:
        """Encode images whose sides are multiples of the patch."""
        hidden = self.vision.pre_layrnorm(self.vision.embeddings(pixels, interpolate_pos_encoding=True))
        *before, last = self.vision.encoder.layers
        for layer in before:
            hidden = layer(hidden, None)
        patches = hidden[:, 1:]
        values = last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(patches)))
        return self.projection(self.vision.post_layernorm(values)), patches


class SiglipTower(nn.Module):
    """SigLIP and SigLIP 2: the attention-pooling head, for each patch by itself.

    The last attention is the head's. If it sees one patch only, the result is what the whole image would give if it
    attended to this patch alone.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.vision = network.vision_model
        self.patch, self.dim = int(self.vision.config.patch_size), int(self.vision.config.hidden_size)
        if getattr(self.vision, "head", None) is None:
            raise ConfigError("wss.backbone is a SigLIP without the head that pools patches; name another one")

    def forward(self, pixels: Tensor) -> Seen:
        """Encode images whose sides are multiples of the patch."""
        hidden = self.vision.encoder(inputs_embeds=self._embedded(pixels)).last_hidden_state
        patches = self.vision.post_layernorm(hidden)
        alone = self.vision.head(patches.flatten(0, 1).unsqueeze(1))
        return alone.unflatten(0, patches.shape[:2]), patches

    def _embedded(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.vision.embeddings(pixels, interpolate_pos_encoding=True)
        return embedded


class NaflexTower(SiglipTower):
    """SigLIP 2 with images of any shape, which are given as rows of patches."""

    def _embedded(self, pixels: Tensor) -> Tensor:
        count, side = len(pixels), self.patch
        rows, columns = pixels.shape[-2] // side, pixels.shape[-1] // side
        cut = pixels.unflatten(3, (columns, side)).unflatten(2, (rows, side))  # type: ignore[no-untyped-call]
        patches = cut.permute(0, 2, 4, 3, 5, 1).reshape(count, rows * columns, -1)  # rows and columns in a patch, RGB
        shapes = torch.tensor([[rows, columns]]).expand(count, -1).to(pixels.device)
        embedded: Tensor = self.vision.embeddings(patches, shapes)
        return embedded


class TipsTower(nn.Module):
    """TIPS v2: its patches are in the space of the texts."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.vision = network.vision_model
        self.patch, self.dim = int(self.vision.config.patch_size), int(self.vision.config.hidden_size)
        self.others = 1 + int(self.vision.config.num_register_tokens)

    def forward(self, pixels: Tensor) -> Seen:
        """Encode images whose sides are multiples of the patch."""
        patches = self.vision(pixel_values=pixels).last_hidden_state[:, self.others :]
        return patches, patches
