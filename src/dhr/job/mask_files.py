"""Masks as files: all files of a photograph, its record last."""

import io
import time
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from dhr.data.images import read_mask, write_mask
from dhr.data.samples import VOID, Sample
from dhr.errors import ItemError
from dhr.files import digest_regular, write_bytes, write_json
from dhr.job.drafts import Photograph
from dhr.job.folder import OutputFolder
from dhr.job.items import Items
from dhr.job.masks import MadeMask, MaskMaker
from dhr.job.scan import Scan
from dhr.ops.upsample import resize
from dhr.records.members import to_json
from dhr.types import Rebalanced


@dataclass(frozen=True)
class MaskFiles:
    """Writes the masks of a folder; implements :class:`~dhr.job.mask_stage.Results`."""

    maker: MaskMaker
    items: Items

    @property
    def folder(self) -> OutputFolder:
        """The folder."""
        return self.items.folder

    def unfinished(self, found: Scan) -> list[Sample]:
        """Return the photographs without a mask of their present content, tags and settings."""
        return self.items.unfinished(found)

    def make_room(self, name: str) -> None:
        """Prepare a photograph's mask to be made again."""
        self.items.make_room(name)

    def write(self, photograph: Photograph, result: Rebalanced, start: float, before: float = 0.0) -> bool:
        """Write the files of a photograph, its record last; see :meth:`dhr.job.mask_stage.Results.write`."""
        sample, config, palette = photograph.sample, self.maker.drafts.config, self.maker.palette
        made = self.maker.made(photograph, result)
        mask = made.labels(result.scores)
        if config.stages:
            self._write_stages(made)
        if config.doubtful > 0:
            sure = resize(result.confidence.unsqueeze(1), made.size)[0, 0].cpu().numpy() >= config.doubtful
            training = np.where(sure, mask, np.uint8(VOID))
            write_mask(self.folder.training_mask(sample.name), training, palette)
        changed = self._changed(sample.name, mask)
        aside = self.folder.write_mask(sample.name, mask, palette)
        record = replace(
            made.record(mask, self.maker.digest(photograph)),
            mask=digest_regular(self.folder.mask(sample.name)),
            turn=self.items.turn,
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

    def _write_stages(self, made: MadeMask) -> None:
        """Write the masks of all steps, and the CAMs."""
        name, result, palette = made.sample.name, made.result, self.maker.palette
        write_mask(self.folder.stage("base", name), made.base(), palette)
        for stage, scores in (
            ("cam", result.activation),
            ("seed", result.seed),
            ("inter", result.inter),
            ("intra", result.intra),
        ):
            write_mask(self.folder.stage(stage, name), made.labels(scores), palette)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            cams=result.activation[0, made.classes.foreground.start :].half().cpu().numpy(),
            classes=np.asarray(made.sample.tags, dtype=np.int64),
        )
        write_bytes(self.folder.cams(name), buffer.getvalue())
