"""Grounding DINO (Liu et al., ECCV 2024) and MM Grounding DINO (Zhao et al. 2024): a text in, boxes out."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dhr.models.boxes.protocol import Boxes, Encoded, Prepared, Texts, corners_of


class Grounding(nn.Module):
    """Boxes of the words of a text; see :class:`~dhr.models.boxes.protocol.Detector`."""

    together = 8

    def __init__(self, network: Any, texts: Texts, tokenizer: Any, prepared: Prepared) -> None:
        """Take a ``GroundingDinoForObjectDetection``, or one of MM Grounding DINO."""
        super().__init__()
        network.model.backbone = _Backbone(network.model.backbone)
        self.network, self.texts, self.tokenizer, self.prepared = network, texts, tokenizer, prepared
        self.requires_grad_(False)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Compute the backbone's maps. The layers above them depend on the text."""
        pixels = self.prepared(images)
        mask = torch.ones_like(pixels[:, 0], dtype=torch.long)
        features, positions = self.network.model.backbone(pixels, mask)
        maps = tuple(one for pair in features for one in pair)
        return (pixels, *maps, *positions)

    @torch.no_grad()
    def ask(self, encoded: Encoded, index: int, texts: Sequence[int]) -> Boxes:
        """Return the boxes for some texts. The score of a box is that of its best word."""
        asked = [f"{self.texts.whole[one].lower().rstrip('. ')}." for one in texts]
        tokens = self.tokenizer(asked, padding=True, return_tensors="pt").to(encoded[0].device)
        pixels, *maps = (one[index : index + 1].expand(len(asked), *one.shape[1:]) for one in encoded)
        levels = len(maps) // 3
        features = [(maps[2 * level], maps[2 * level + 1]) for level in range(levels)]
        backbone = self.network.model.backbone
        backbone.known = (features, maps[2 * levels :])
        try:
            made = self.network(
                pixel_values=pixels, **{name: tokens[name] for name in tokens if name != "overflow_to_sample_mapping"}
            )
        finally:
            backbone.known = None
        scores = made.logits.float().sigmoid().nan_to_num().amax(dim=2)
        return Boxes(corners_of(made.pred_boxes.float()), scores)


class _Backbone(nn.Module):
    """The backbone, or what it made of the images before."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.known: tuple[list[tuple[Tensor, Tensor]], list[Tensor]] | None = None

    @property
    def position_embedding(self) -> Any:
        """The embedding of positions, which the network uses for further maps."""
        return self.inner.position_embedding

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Any:
        return self.inner(pixel_values, pixel_mask) if self.known is None else self.known
