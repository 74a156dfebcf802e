"""Makes the mask of one photograph from its draft, and writes its files."""

import io
import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.images import write_mask
from dhr.data.palette import class_palette
from dhr.data.samples import VOID, ClassTable, DataSet, Sample
from dhr.data.transforms import grid_size, working_image
from dhr.files import digest_regular, write_bytes, write_json
from dhr.job.drafts import Drafts, surveyed
from dhr.job.folder import OutputFolder
from dhr.job.kept import class_ids
from dhr.job.negatives import background_alone
from dhr.job.settings import RunConfig
from dhr.method.boundary import Guide, corrections
from dhr.method.rebalance import finish
from dhr.method.survey import Survey
from dhr.ops.upsample import resize, upsampled_labels
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import to_json
from dhr.types import Rebalanced


@dataclass(frozen=True)
class MaskMaker:
    """Makes the masks of a data set, and writes all files of a photograph."""

    data: DataSet
    drafts: Drafts
    config: RunConfig
    folder: OutputFolder
    survey: Survey | None = None
    turn: int = 1
    """See :class:`~dhr.records.item.ItemRecord`."""

    @cached_property
    def palette(self) -> UInt8[np.ndarray, "256 3"]:
        """Colours of the classes."""
        return class_palette(self.data.classes)

    def __call__(self, sample: Sample, digest: str) -> bool:
        """Make the mask of ``sample`` and write its files, its record last.

        Args:
            sample: the photograph.
            digest: digest of its content, for the record.

        Returns:
            Whether another mask was there, which was put aside.

        Raises:
            ItemError: the photograph cannot be read, or its maps hold NaN or infinity.
        """
        start = time.perf_counter()
        rgb = self.data.read_image(sample)
        result = self._rebalanced(rgb, sample, digest)
        made = _Made(sample, self.data.classes, (rgb.shape[0], rgb.shape[1]), result)
        mask = made.labels(result.scores)
        if self.config.stages:
            self._write_stages(made)
        if self.config.doubtful > 0:
            sure = resize(result.confidence.unsqueeze(1), made.size)[0, 0].cpu().numpy() >= self.config.doubtful
            training = np.where(sure, mask, np.uint8(VOID))
            write_mask(self.folder.training_mask(sample.name), training, self.palette)
        aside = self.folder.write_mask(sample.name, mask, self.palette)
        record = replace(
            made.record(mask, digest),
            mask=digest_regular(self.folder.mask(sample.name)),
            turn=self.turn,
            seconds=round(time.perf_counter() - start, 4),
        )
        write_json(self.folder.item(sample.name), to_json(record))
        return aside

    @torch.no_grad()
    def _rebalanced(self, rgb: UInt8[np.ndarray, "h w 3"], sample: Sample, digest: str) -> Rebalanced:
        config, survey, device = self.config, self.survey, self.drafts.models.device
        image = working_image(rgb, config.image.long_side).unsqueeze(0)
        size = (image.shape[-2], image.shape[-1])
        if not sample.tags:
            return background_alone(grid_size(*size, config.image.grid_stride), size, device)
        made = self.drafts(image, sample, digest)
        uss, said = made.uss.unpacked(device), None
        if survey is not None:
            said = surveyed(survey, uss, made.probabilities, self.data.classes, sample)
        _, correct = corrections(config.boundary, Guide(uss, made.edges), image.to(device), size)
        weighed = config.method if survey is None else survey.weighed(config.method)
        return finish(made.draft, correct, weighed, said)

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
