"""The corrections that a run learns from: masks that a person accepted or mended are certain."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

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

Labels = tuple[Float[Tensor, "k n"], Int64[Tensor, " k"]]
"""Shares of classes in each cell of a photograph, and the ids of these classes."""


@runtime_checkable
class Teacher(Protocol):
    """Knows certain masks of photographs."""

    def certain(self, name: str) -> bool:
        """Return whether the mask of a photograph is certain."""
        ...

    def labels(self, sample: Sample, grid: tuple[int, int]) -> Labels | None:
        """Return its labels; None if the mask is damaged."""
        ...


def cell_labels(mask: UInt8[np.ndarray, "h w"], sample: Sample, classes: ClassTable, grid: tuple[int, int]) -> Labels:
    """Return the shares of the classes of a mask in each cell: tagged ones, the background, and all others in it."""
    found = [id for id in np.unique(mask).tolist() if id < len(classes.names)]
    ids = torch.tensor(sorted({*class_ids(classes, sample), *found}))
    shares = area_average((torch.from_numpy(mask) == ids[:, None, None]).float()[None], grid)[0]  # (k, u, v)
    return shares.flatten(1), ids


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

    def labels(self, sample: Sample, grid: tuple[int, int]) -> Labels | None:
        """Return the labels of a corrected photograph; None if the mask is damaged.

        Such a mask teaches nothing, and a note of the job names it.

        Args:
            sample: the photograph, with the tags of its correction.
            grid: rows and columns of the cells.
        """
        try:
            return cell_labels(self._mask(sample.name), sample, self.classes, grid)
        except OutputError:
            return None

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
