"""`wss.kind boxes`: a detector finds boxes for the names of the tags; a network that segments anything fills them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.samples import Sample
from dhr.models.boxes.build import boxes_place, build_boxes
from dhr.models.boxes.protocol import Boxes, Encoded
from dhr.models.config import NONE
from dhr.models.precision import autocast, resolved
from dhr.models.remote import Remote
from dhr.models.sam.build import build_sam, sam_remote
from dhr.models.sam.protocol import Embedding
from dhr.models.views import images_at_once
from dhr.ops.boxes import filled_boxes
from dhr.prompts import Prompts
from dhr.sources.network import placed
from dhr.sources.protocol import Given, MapSource, Seen, SourceSettings, joined

BEST = 10
"""Boxes per text that count, those with the highest scores."""
_SETTING = "wss.segmenter"
_PIXELS = 1024 * 1024  # of an image, about, that a detector sees


class BoxesSource(MapSource):
    """Maps of boxes: the mask inside each box times its score, the highest of a name.

    The scores are not divided by anything, so they can be compared over photographs. The detector and the segmenter see
    the whole photograph at the size that they were trained on, so `wss.scales` does not apply.
    """

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        settings = given.settings
        self.detector = build_boxes(settings.wss, given.names, given.device)
        placed(self.detector, given.device)  # type: ignore[type-var]
        self.segmenter, name = None, settings.wss.segmenter
        if name != NONE:
            precision = resolved(settings.precision, given.device)
            self.segmenter = build_sam(name, "hub", _SETTING, given.device, precision)

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`~dhr.sources.protocol.MapSource.remote`."""
        return boxes_place(settings.wss).remote

    @classmethod
    def further_remotes(cls, settings: SourceSettings) -> tuple[Remote | None, ...]:
        """See :meth:`~dhr.sources.protocol.MapSource.further_remotes`."""
        name = settings.wss.segmenter
        return () if name == NONE else (sam_remote(name, "hub", _SETTING),)

    def see(self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample], grid: tuple[int, int]) -> Seen:
        """See :meth:`~dhr.sources.protocol.MapSource.see`."""
        most = images_at_once(_PIXELS, images.device)
        if len(images) > most:
            starts = range(0, len(images), most)
            return Seen.together([self.see(images[i : i + most], samples[i : i + most], grid) for i in starts])
        views = [self._view(images, samples, grid)]
        if self.given.settings.wss.flip:
            views.append([one.flip(-1) for one in self._view(images.flip(-1), samples, grid)])
        signed = [torch.stack(maps) for maps in zip(*views, strict=True)]  # (views, 1, k, u, v) each
        return Seen.together([Seen(joined(maps.relu().mean(dim=0), maps.mean(dim=0))) for maps in signed])

    def _view(self, images: Tensor, samples: Sequence[Sample], grid: tuple[int, int]) -> list[Tensor]:
        """Return the maps of each photograph, before the ReLU."""
        start, texts = self.given.classes.foreground.start, self.detector.texts
        embedding = None if self.segmenter is None else self.segmenter.embed(images)
        with autocast(resolved(self.given.settings.precision, images.device), images.device):
            encoded = self.detector.encode(images)
        found = []
        for index, sample in enumerate(samples):
            classes = [tag - start for tag in sample.tags]
            names = texts.vocabulary.needed(classes)
            maps = self._maps(encoded, embedding, index, texts.of_names(names), grid)
            means = maps.view(1, len(names), texts.each, *grid).mean(dim=2)
            found.append(texts.vocabulary.joined(means, names, classes))
        return found

    def _maps(
        self, encoded: Encoded, embedding: Embedding | None, index: int, texts: Sequence[int], grid: tuple[int, int]
    ) -> Float[Tensor, "n u v"]:
        """Return the maps of some texts for one image."""
        precision, device = resolved(self.given.settings.precision, encoded[0].device), encoded[0].device
        maps = []
        for first in range(0, len(texts), self.detector.together):
            with autocast(precision, device):
                boxes = self.detector.ask(encoded, index, texts[first : first + self.detector.together]).best(BEST)
            masks = filled_boxes(boxes.corners.clamp(0, 1), grid)
            if embedding is not None:
                masks = self._segmented(boxes, embedding, index, grid)
            maps.append((masks * boxes.scores[..., None, None]).amax(dim=1))
        return torch.cat(maps)

    def _segmented(
        self, boxes: Boxes, embedding: Embedding, index: int, grid: tuple[int, int]
    ) -> Float[Tensor, "n q u v"]:
        """Return the masks of the things in boxes: of the proposals for a box, the one that the network trusts most."""
        assert self.segmenter is not None
        height, width = embedding.size
        scale = torch.tensor([width, height, width, height], device=boxes.corners.device)
        corners = (boxes.corners.clamp(0, 1) * scale).flatten(0, 1)
        made = self.segmenter.masks(embedding, index, Prompts(boxes=corners))
        best = made.scores.argmax(dim=1)
        chosen = made.logits[torch.arange(len(best), device=best.device), best].sigmoid().unsqueeze(0)
        fine = interpolate(chosen, grid, mode="bilinear", align_corners=False, antialias=True)
        return fine[0].view(*boxes.scores.shape, *grid)
