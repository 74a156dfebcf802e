"""Makes masks from drafts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.palette import class_palette
from dhr.data.samples import VOID, ClassTable, Sample
from dhr.data.transforms import grid_size
from dhr.job.drafts import Drafts, Photograph, padded_ids, surveyed
from dhr.job.kept import Kept, class_ids
from dhr.job.negatives import background_alone
from dhr.method.boundary import Correction, Guide, corrections
from dhr.method.order import take_classes
from dhr.method.quality import supported
from dhr.method.rebalance import finish
from dhr.method.survey import Survey
from dhr.method.swaps import Swap, exchange
from dhr.models.sam import Embedding
from dhr.ops.upsample import upsampled_labels
from dhr.records.item import ItemRecord, table_key
from dhr.types import Rebalanced


@dataclass(frozen=True)
class MaskMaker:
    """Makes the masks of a data set."""

    drafts: Drafts
    survey: Survey | None = None

    @cached_property
    def palette(self) -> UInt8[np.ndarray, "256 3"]:
        """Colours of the classes."""
        return class_palette(self.drafts.data.classes)

    @torch.no_grad()
    def finish(
        self,
        made: Kept,
        images: Float[Tensor, "b 3 h w"],
        embedding: Embedding | None = None,
        correct: Correction | None = None,
    ) -> Rebalanced:
        """Join drafts with the survey and correct their boundaries, on their device.

        Args:
            made: the drafts.
            images: their working images.
            embedding: that of :meth:`embed`.
            correct: the second of :meth:`corrections`, if it was made for these images already.
        """
        config, survey, device = self.drafts.config, self.survey, made.draft.cams.device
        made = self._exchanged(made)
        uss, shown = torch.cat([one.unpacked(device) for one in made.uss]), images.to(device)
        if correct is None:
            _, correct = self.corrections(shown, uss, made.edges, embedding)
        if survey is None:
            return finish(made.draft, correct, config.method)
        classes = self.drafts.data.classes
        said = surveyed(survey.to(device), uss, made.probabilities, classes, made.samples, shown)
        result = finish(made.draft, correct, survey.weighed(config.method), said)
        return judged(result, said, survey, *padded_ids(made.samples, classes, device))

    @property
    def swaps(self) -> Sequence[Swap]:
        """Classes whose maps are exchanged in the drafts.

        Those of a student's decoder are not, because it learned from masks that were put right. Shares that are given
        for classes (``method.prior``) were used for the maps as they are, so they stay.
        """
        config = self.drafts.config
        of_decoder = self.drafts.second and config.student.maps == "decoder"
        if self.survey is None or of_decoder or config.method.prior:
            return ()
        return self.survey.swaps

    def exchange(self, samples: Sequence[Sample], device: torch.device) -> Int64[Tensor, "b k"]:
        """Return the place of the class whose maps each class of photographs takes; padded."""
        return exchange(*padded_ids(samples, self.drafts.data.classes, device), self.swaps)

    def _exchanged(self, made: Kept) -> Kept:
        """Exchange the maps of classes in drafts."""
        if not self.swaps:
            return made
        places, found = self.exchange(made.samples, made.draft.order.device), made.probabilities
        probabilities = None if found is None else take_classes(found, places)
        return replace(made, draft=made.draft.exchanged(places), probabilities=probabilities)

    def corrections(
        self,
        images: Float[Tensor, "b 3 h w"],
        uss: Float[Tensor, "b d u v"],
        edges: Float[Tensor, "b 1 p q"] | None,
        embedding: Embedding | None,
    ) -> tuple[Correction, Correction]:
        """Make the corrections of base mask and seeds, and of the result, for working images on the device."""
        sam, size = self.drafts.models.sam, (images.shape[-2], images.shape[-1])
        propose = None if sam is None or embedding is None else sam.propose(embedding)
        return corrections(self.drafts.config.boundary, Guide(uss, edges, propose), images, size)

    def embed(self, images: Float[Tensor, "b 3 h w"]) -> Embedding | None:
        """Return the embedding for `boundary.kind sam`; None with another kind."""
        sam = self.drafts.models.sam
        return None if sam is None else sam(images)

    def background(self, photograph: Photograph) -> Rebalanced:
        """Return the result of a photograph without tags."""
        size = (photograph.image.shape[-2], photograph.image.shape[-1])
        grid = grid_size(*size, self.drafts.config.image.grid_stride)
        return background_alone(grid, size, torch.device("cpu"))

    def labels(self, photograph: Photograph, result: Rebalanced) -> UInt8[np.ndarray, "h w"]:
        """Return the mask of a photograph, in its own size."""
        return self.made(photograph, result).labels(result.scores)

    def made(self, photograph: Photograph, result: Rebalanced) -> "MadeMask":
        """Return the result of a photograph, from which its files are made."""
        return MadeMask(photograph.sample, self.drafts.data.classes, photograph.size, result)

    def digest(self, photograph: Photograph) -> str:
        """Return the digest of a photograph's content."""
        return self.drafts.found.seen[photograph.sample.name].digest


def judged(
    result: Rebalanced,
    said: Float[Tensor, "b k u v"],
    survey: Survey,
    ids: Int64[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
) -> Rebalanced:
    """Judge masks by the support that they have from other photographs (:func:`dhr.method.quality.supported`)."""
    agreement = survey.agreement.float().to(ids.device, non_blocking=True)
    quality = supported(result.quality, result.intra, said, agreement[ids], valid, agreement.mean())
    return replace(result, quality=quality)


@dataclass(frozen=True)
class MadeMask:
    """The result of a photograph; makes masks of its size."""

    sample: Sample
    classes: ClassTable
    size: tuple[int, int]
    result: Rebalanced

    @cached_property
    def ids(self) -> UInt8[Tensor, " k"]:
        """The class of each of the result's classes."""
        return torch.tensor(class_ids(self.classes, self.sample), dtype=torch.uint8, device=self.result.scores.device)

    def labels(self, scores: Float[Tensor, "1 k _ _"]) -> UInt8[np.ndarray, "h w"]:
        """Return the class of the highest score of each pixel; of equal scores the first in the result's order."""
        order = self.result.order[0]
        labels: UInt8[np.ndarray, "h w"] = upsampled_labels(scores[0, order], self.ids[order], self.size).cpu().numpy()
        return labels

    def base(self) -> UInt8[np.ndarray, "h w"]:
        """M_base; void where its label is -1."""
        base = interpolate(self.result.base[:, None].float(), self.size, mode="nearest-exact")[0, 0].long()
        labels: UInt8[np.ndarray, "h w"] = torch.cat([self.ids, self.ids.new_tensor([VOID])])[base].cpu().numpy()
        return labels

    def record(self, mask: UInt8[np.ndarray, "h w"], digest: str) -> ItemRecord:
        """Return the record of the photograph with this content."""
        sample, names = self.sample, self.classes.names
        counts = {tag: int((mask == tag).sum()) for tag in class_ids(self.classes, sample)}
        return ItemRecord(
            digest=digest,
            width=mask.shape[1],
            height=mask.shape[0],
            tags=tuple(names[tag] for tag in sample.tags),
            ratios={names[tag]: round(count / mask.size, 5) for tag, count in counts.items()},
            vanished=tuple(names[tag] for tag in sample.tags if counts[tag] == 0),
            image=sample.source,
            quality=round(float(self.result.quality), 4),
            moved=round(float(self.result.moved), 4),
            table=table_key(names, self.classes.background),
        )
