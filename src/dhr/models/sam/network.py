"""SAM and its successors of transformers behind one protocol: their images, prompts and masks are converted."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate, pad

from dhr.errors import ItemError
from dhr.models.precision import Resolved, autocast
from dhr.models.sam.protocol import Embedding
from dhr.models.views import images_at_once
from dhr.prompts import Prompts, Proposals

_TOGETHER = 16  # prompts that go through the decoder together
_OUTSIDE = -10.0  # logit of a coarse mask in the padding


@dataclass(frozen=True)
class Frame:
    """The size of the images that a network takes, and how others are brought to it."""

    side: int
    """Rows and columns."""
    low: int
    """Rows and columns of a coarse mask that is a prompt."""
    keeps_shape: bool
    """Whether images keep their shape and are padded on the right and below (SAM, SAM-HQ), or are stretched."""
    levels: int
    """Maps of an embedding: 1 (SAM), 2 (SAM-HQ: also an inner map of the encoder), or 3 sizes (the others)."""

    def within(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns that an image takes."""
        if not self.keeps_shape:
            return self.side, self.side
        height, width = (max(1, int(length * self.side / max(size) + 0.5)) for length in size)
        return height, width


class Sam(nn.Module):
    """A network that segments anything; see :class:`~dhr.models.sam.protocol.Segmenter`.

    Args:
        network: a ``SamModel``, ``SamHQModel``, ``Sam2Model``, ``Sam3TrackerModel`` or ``EdgeTamModel``.
        frame: the size of its images.
        mean: that its images are reduced by, RGB.
        std: that they are divided by.
        precision: of the encoder and the decoder.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        frame: Frame,
        mean: Float[Tensor, "3 1 1"],
        std: Float[Tensor, "3 1 1"],
        precision: Resolved = "float32",
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.frame = frame
        self.precision: Resolved = precision
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self.mean.device

    @torch.no_grad()
    def embed(self, images: Float[Tensor, "b 3 h w"]) -> Embedding:
        """Embed RGB images in 0..1. The maps are rounded to half precision, so that masks do not depend on a store.

        Raises:
            ItemError: the embedding is not finite.
        """
        most = images_at_once(self.frame.side**2, self.device)
        if len(images) > most:
            return Embedding.together([self.embed(part) for part in torch.split(images, most)])
        size = (images.shape[-2], images.shape[-1])
        height, width = self.frame.within(size)
        pixels = images.to(self.device, torch.float32)
        if size != (height, width):
            pixels = interpolate(pixels, (height, width), mode="bilinear", align_corners=False, antialias=True)
        pixels = pad((pixels - self.mean) / self.std, (0, self.frame.side - width, 0, self.frame.side - height))
        with autocast(self.precision, self.device):
            made = self.network.get_image_embeddings(pixels)
        if self.frame.levels == 1:
            made = [made]
        elif self.frame.levels == 2:
            made = [made[0], made[1][0]]  # the decoder reads the first of the inner maps
        maps = tuple(one.float().half() for one in made)
        if not all(bool(one.isfinite().all()) for one in maps):
            raise ItemError(
                f"the embedding of {type(self.network).__name__} holds NaN or infinity; check its weights, or compute "
                "in --precision float32"
            )
        return Embedding(maps, size)

    @torch.no_grad()
    def masks(self, embedding: Embedding, index: int, prompts: Prompts) -> Proposals:
        """Propose masks for the prompts of the image at ``index``.

        Each prompt is an image of a batch for the decoder, because coarse masks belong to images there.
        """
        one = embedding.one(index).to(self.device)
        given = self._prompts(prompts, embedding.size)
        count = len(next(iter(given.values())))
        parts = [
            self._decoded(one, {name: value[start : start + _TOGETHER] for name, value in given.items()})
            for start in range(0, count, _TOGETHER)
        ]
        logits, scores = (torch.cat(some) for some in zip(*parts, strict=True))
        return Proposals(self._cut(logits, embedding.size), scores)

    def _prompts(self, prompts: Prompts, size: tuple[int, int]) -> dict[str, Tensor]:
        """Return the prompts by transformers' names, in pixels of the network, one of an image each."""
        height, width = self.frame.within(size)
        scale = torch.tensor([width / size[1], height / size[0]], device=self.device)
        found: dict[str, Tensor] = {}
        if prompts.points is not None and prompts.labels is not None:
            found["input_points"] = (prompts.points.to(self.device).float() * scale).unsqueeze(1)  # (p, 1, n, 2)
            found["input_labels"] = prompts.labels.to(self.device).unsqueeze(1)  # (p, 1, n)
        if prompts.boxes is not None:
            found["input_boxes"] = (prompts.boxes.to(self.device).float() * scale.repeat(2)).unsqueeze(1)  # (p, 1, 4)
        if prompts.low is not None:
            side, low = self.frame.side, self.frame.low
            rows, columns = max(1, round(height * low / side)), max(1, round(width * low / side))
            mask = prompts.low.to(self.device, torch.float32).unsqueeze(1)
            mask = interpolate(mask, (rows, columns), mode="bilinear", align_corners=False, antialias=True)
            found["input_masks"] = pad(mask, (0, low - columns, 0, low - rows), value=_OUTSIDE)  # (p, 1, low, low)
        return found

    def _decoded(self, one: Embedding, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        count = len(next(iter(given.values())))
        maps = [value.float().expand(count, *value.shape[1:]) for value in one.maps]
        inner: dict[str, Any] = {"image_embeddings": maps if self.frame.levels == 3 else maps[0]}
        if self.frame.levels == 2:
            inner["intermediate_embeddings"] = maps[1:]
        with autocast(self.precision, self.device):
            made = self.network(**inner, **given, multimask_output=True)
        return made.pred_masks[:, 0].float(), made.iou_scores[:, 0].float()

    def _cut(self, logits: Float[Tensor, "p m low low"], size: tuple[int, int]) -> Float[Tensor, "p m u v"]:
        """Return the part of the masks that shows the image, without the padding."""
        height, width = self.frame.within(size)
        side, cells = self.frame.side, logits.shape[-1]
        if (height, width) == (side, side):
            return logits
        rows, columns = max(1, round(height * cells / side)), max(1, round(width * cells / side))
        y = (torch.arange(rows, device=self.device) * 2 + 1) * (height / (rows * side)) - 1
        x = (torch.arange(columns, device=self.device) * 2 + 1) * (width / (columns * side)) - 1
        places = torch.stack([x.expand(rows, -1), y.unsqueeze(1).expand(-1, columns)], dim=-1)
        return grid_sample(
            logits, places.expand(len(logits), -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=False
        )
