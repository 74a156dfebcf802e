"""OmDet-Turbo (Zhao et al. 2024): a fast detector whose image encoder does not depend on the text."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dhr.models.boxes.protocol import Boxes, Encoded, Prepared, Texts, corners_of


class OmDet(nn.Module):
    """Boxes for a class and a task; see :class:`~dhr.models.boxes.protocol.Detector`."""

    classes: Tensor
    tasks: Tensor
    task_mask: Tensor
    together = 16

    def __init__(
        self,
        network: Any,
        texts: Texts,
        embedded: tuple[Float[Tensor, "1 n d"], Float[Tensor, "l n d"], Int[Tensor, "n l"]],
        prepared: Prepared,
    ) -> None:
        """Take an ``OmDetTurboForObjectDetection``; and of the texts the classes, the tasks, and the tasks' mask."""
        super().__init__()
        network.language_backbone = None  # the texts are embedded
        self.network, self.texts, self.prepared = network, texts, prepared
        for name, value in zip(("classes", "tasks", "task_mask"), embedded, strict=True):
            self.register_buffer(name, value, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Compute all maps below the decoder. Images are stretched."""
        features = self.network.vision_backbone(self.prepared(images))
        return tuple(self.network.encoder(features, return_dict=True).extracted_states)

    @torch.no_grad()
    def ask(self, encoded: Encoded, index: int, texts: Sequence[int]) -> Boxes:
        """Return the boxes for some texts."""
        some = list(texts)
        maps = tuple(one[index : index + 1].expand(len(some), *one.shape[1:]) for one in encoded)
        made = self.network.decoder(
            maps, self.classes[:, some], self.tasks[:, some], self.task_mask[some], return_dict=True
        )
        scores = made.decoder_classes[-1][..., 0].float().sigmoid()
        return Boxes(corners_of(made.decoder_coords[-1].float()), scores)
