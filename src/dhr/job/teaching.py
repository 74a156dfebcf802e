"""The corrections that a run learns from: masks that a person accepted or mended are certain."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from dhr.corrections import Correction, Corrections, in_classes
from dhr.data.samples import ClassTable, Sample
from dhr.errors import OutputError
from dhr.job.kept import class_ids
from dhr.ops.upsample import area_average
from dhr.records.run import TaughtRecord
from dhr.words import counted


@dataclass(frozen=True)
class Teaching:
    """Corrections that hold, and their masks in the class ids of the data set."""

    store: Corrections
    classes: ClassTable
    held: Mapping[str, Correction] = field(default_factory=dict)
    """By the name of the photograph."""

    def certain(self, name: str) -> bool:
        """Return whether a person accepted or mended the mask of a photograph."""
        found = self.held.get(name)
        return found is not None and found.certain

    def labels(self, sample: Sample, grid: tuple[int, int]) -> tuple[Float[Tensor, "k n"], Int64[Tensor, " k"]] | None:
        """Return the shares of the classes in each cell of a corrected photograph, and the ids of these classes.

        These are its tagged classes, the background, and all others in the mask. Returns None if the mask is damaged:
        it teaches nothing, and a note of the job names it.

        Args:
            sample: the photograph, with the tags of its correction.
            grid: rows and columns of the cells.
        """
        try:
            mask = self._mask(sample.name)
        except OutputError:
            return None
        found = [id for id in np.unique(mask).tolist() if id < len(self.classes.names)]
        labels = torch.from_numpy(mask)
        ids = torch.tensor(sorted({*class_ids(self.classes, sample), *found}))
        shares = area_average((labels == ids[:, None, None]).float()[None], grid)[0]  # (k, u, v)
        return shares.flatten(1), ids

    def _mask(self, name: str) -> UInt8[np.ndarray, "h w"]:
        return in_classes(self.store.mask(name), self.held[name], self.classes)

    def __str__(self) -> str:
        """Return how the survey learns from it, in words."""
        record = self.record
        if record is None:
            return "the survey no longer learns from corrected masks"
        return f"the survey learns from {counted(record.masks, 'corrected mask')}"

    @property
    def record(self) -> TaughtRecord | None:
        """Its record, before masks are made again; None without corrections."""
        used = {name: one for name, one in sorted(self.held.items()) if one.certain}
        if not used:
            return None
        facts = [
            [name, one.state, one.mask, sorted(one.tags), sorted(one.labels.items())] for name, one in used.items()
        ]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return TaughtRecord(f"sha256:{digest}", len(used))
