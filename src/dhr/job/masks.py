"""Makes masks from drafts, and writes all files of a photograph."""

import io
import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.images import read_mask, write_mask
from dhr.data.palette import class_palette
from dhr.data.samples import VOID, ClassTable, Sample
from dhr.data.transforms import grid_size
from dhr.errors import ItemError
from dhr.files import digest_regular, write_bytes, write_json
from dhr.job.drafts import Drafts, Photograph, surveyed
from dhr.job.folder import OutputFolder
from dhr.job.kept import Kept, class_ids
from dhr.job.negatives import background_alone
from dhr.method.boundary import Correction, Guide, corrections
from dhr.method.rebalance import finish
from dhr.method.survey import Survey
from dhr.models.sam import Embedding
from dhr.ops.upsample import resize, upsampled_labels
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import to_json
from dhr.types import Rebalanced


@dataclass(frozen=True)
class MaskMaker:
    """Makes the masks of a data set, and writes all files of a photograph."""

    drafts: Drafts
    folder: OutputFolder
    survey: Survey | None = None
    turn: int = 1
    """See :class:`~dhr.records.item.ItemRecord`."""

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
        uss, said = torch.cat([one.unpacked(device) for one in made.uss]), None
        if survey is not None:
            said = surveyed(survey.to(device), uss, made.probabilities, self.drafts.data.classes, made.samples)
        if correct is None:
            _, correct = self.corrections(images.to(device), uss, made.edges, embedding)
        weighed = config.method if survey is None else survey.weighed(config.method)
        return finish(made.draft, correct, weighed, said)

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
        return _Made(photograph.sample, self.drafts.data.classes, photograph.size, result).labels(result.scores)

    def write(self, photograph: Photograph, result: Rebalanced, start: float, before: float = 0.0) -> bool:
        """Write the files of a photograph, its record last.

        Args:
            photograph: the photograph.
            result: that of the method, for it alone.
            start: when the work on its mask began, by ``time.perf_counter()``.
            before: seconds of earlier work on it.

        Returns:
            Whether another mask was there, which was put aside.

        Raises:
            ItemError: a file cannot be written because of its name or of what is in its place.
            OutputError: the disk is full, or refuses.
        """
        sample, config = photograph.sample, self.drafts.config
        made = _Made(sample, self.drafts.data.classes, photograph.size, result)
        mask = made.labels(result.scores)
        if config.stages:
            self._write_stages(made)
        if config.doubtful > 0:
            sure = resize(result.confidence.unsqueeze(1), made.size)[0, 0].cpu().numpy() >= config.doubtful
            training = np.where(sure, mask, np.uint8(VOID))
            write_mask(self.folder.training_mask(sample.name), training, self.palette)
        changed = self._changed(sample.name, mask)
        aside = self.folder.write_mask(sample.name, mask, self.palette)
        record = replace(
            made.record(mask, self.drafts.found.seen[sample.name].digest),
            mask=digest_regular(self.folder.mask(sample.name)),
            turn=self.turn,
            changed=changed,
            seconds=round(before + time.perf_counter() - start, 4),
        )
        write_json(self.folder.item(sample.name), to_json(record))
        return aside

    def _changed(self, name: str, mask: UInt8[np.ndarray, "h w"]) -> int | None:
        """Count the pixels that differ from the mask that is replaced; None if there is none of this size."""
        try:
            before = read_mask(self.folder.replaced(name))
        except ItemError:
            return None
        return int((before != mask).sum()) if before.shape == mask.shape else None

    def _write_stages(self, made: "_Made") -> None:
        """Write the masks of all steps, and the CAMs."""
        name, result = made.sample.name, made.result
        write_mask(self.folder.stage("base", name), made.base(), self.palette)
        for stage, scores in (
            ("cam", result.activation),
            ("seed", result.seed),
            ("inter", result.inter),
            ("intra", result.intra),
        ):
            write_mask(self.folder.stage(stage, name), made.labels(scores), self.palette)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            cams=result.activation[0, made.classes.foreground.start :].half().cpu().numpy(),
            classes=np.asarray(made.sample.tags, dtype=np.int64),
        )
        write_bytes(self.folder.cams(name), buffer.getvalue())


@dataclass(frozen=True)
class _Made:
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
