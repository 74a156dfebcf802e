"""OWLv2 (Minderer et al., NeurIPS 2023): boxes of patches whose embeddings fit a text."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dhr.models.boxes.protocol import Boxes, Encoded, Prepared, Texts, corners_of


class Owlv2(nn.Module):
    """One box per patch; see :class:`~dhr.models.boxes.protocol.Detector`."""

    embedded: Tensor
    together = 64

    def __init__(self, network: Any, texts: Texts, embedded: Float[Tensor, "n d"], prepared: Prepared) -> None:
        """Take an ``Owlv2ForObjectDetection`` and the embeddings of the texts."""
        super().__init__()
        network.owlv2.text_model = network.owlv2.text_projection = None  # the texts are embedded
        self.network, self.texts, self.prepared = network, texts, prepared
        self.register_buffer("embedded", embedded, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Embed patches and find their boxes. Images are padded to squares on the right and below."""
        height, width = images.shape[-2:]
        patches, _ = self.network.image_embedder(self.prepared(images))
        flat = patches.flatten(1, 2)  # (b, q, d)
        corners = corners_of(self.network.box_predictor(flat, patches).float())
        side = torch.tensor([max(height, width) / width, max(height, width) / height], device=corners.device)
        return flat, corners * side.repeat(2)

    @torch.no_grad()
    def ask(self, encoded: Encoded, index: int, texts: Sequence[int]) -> Boxes:
        """Return the boxes for some texts; they are the same for all texts, with other scores."""
        patches, corners = (one[index : index + 1] for one in encoded)
        logits, _ = self.network.class_predictor(patches, self.embedded[list(texts)].unsqueeze(0))
        return Boxes(corners.expand(len(texts), -1, -1), logits[0].T.float().sigmoid())
