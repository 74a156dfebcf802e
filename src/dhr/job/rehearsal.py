"""A rehearsal: the same run on a few photographs, in a temporary folder that is deleted."""

import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from dhr.data.samples import ClassTable, DataSet, Problem, Sample
from dhr.job.folder import OutputFolder
from dhr.job.settings import RunConfig
from dhr.progress import Step
from dhr.records.run import StageRecord

STUDENT_BATCH = 2
"""Photographs per step of a rehearsed student."""
_STEPS = 3  # of a training, at least


@dataclass(frozen=True)
class Few:
    """A few photographs of a data set; a data set itself."""

    whole: DataSet
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> ClassTable:
        """The class table."""
        return self.whole.classes

    def digest(self, sample: Sample) -> str:
        """Return the digest of a photograph."""
        return self.whole.digest(sample)

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Read a photograph."""
        return self.whole.read_image(sample)

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Read ground truth; a run never does."""
        return self.whole.read_ground_truth(sample)


@dataclass
class Clock:
    """Takes the time of each step of the progress."""

    steps: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """By stage: the time of each step, in seconds, and the number of things done."""

    def __call__(self, step: Step) -> None:
        """See :data:`~dhr.progress.Progress`."""
        self.steps.setdefault(step.stage, []).append((time.perf_counter(), step.done))

    def rates(self, stage: str) -> list[float]:
        """Return the seconds per thing, one number for each step."""
        found, steps = [], self.steps.get(stage, [])
        for (begin, before), (end, after) in itertools.pairwise(steps):
            if after > before:
                found.append((end - begin) / (after - before))
        return found

    def count(self, stage: str) -> int:
        """Return the number of things that were done."""
        steps = self.steps.get(stage, [])
        return steps[-1][1] - steps[0][1] if steps else 0

    def spent(self, stage: str) -> float:
        """Return the seconds from the first to the last step of a stage."""
        steps = self.steps.get(stage, [])
        return steps[-1][0] - steps[0][0] if steps else 0.0


@dataclass(frozen=True)
class Rehearsal:
    """The measured cost of a run of a few photographs."""

    photographs: int
    clock: Clock
    stages: Mapping[str, StageRecord]
    """Records of the stages, by name."""
    item_bytes: int
    """Bytes of files that grow with the number of photographs."""
    trained_bytes: Mapping[str, int]
    """Bytes of trained files, which do not grow with it, by stage."""
    draft_bytes: int
    """Bytes of the drafts of all photographs."""
    seconds: float
    """Seconds of the whole rehearsal."""


def rehearse(data: DataSet, samples: Sequence[Sample], config: RunConfig) -> Rehearsal:
    """Run on ``samples``, with a few steps of each training; keep nothing but the cost.

    Torch's random numbers are the same afterwards.

    Raises:
        DhrError: the run cannot work, or a file cannot be written.
    """
    from dhr.job.run import run

    clock, start = Clock(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="dhr-plan-", ignore_cleanup_errors=True) as place, torch.random.fork_rng():
        out = Path(place) / "out"
        outcome = run(Few(data, tuple(samples)), out, shortened(config, len(samples)), progress=clock)
        files = [path for path in out.rglob("*") if path.is_file() and "training" not in path.parts]
        whole = sum(path.stat().st_size for path in files)
        drafts = sum(path.stat().st_size for path in OutputFolder(out).all_survey_cells)
        seconds = time.perf_counter() - start
        trained = {path.stem: path.stat().st_size for path in out.glob("*.safetensors")}
    stages = {row.name: row for row in outcome.stages}
    return Rehearsal(len(samples), clock, stages, whole - sum(trained.values()) - drafts, trained, drafts, seconds)


def shortened(config: RunConfig, photographs: int) -> RunConfig:
    """Return the settings of a rehearsal: trainings end after a few steps, and no store of features is touched."""
    batch = max(1, photographs // 2)
    once: dict[str, Any] = {"epochs": -(-_STEPS * batch // photographs), "batch": batch, "workers": 0}
    student = replace(
        config.student_training, steps=_STEPS, batch=STUDENT_BATCH, accumulate=1, devices=1, workers=0, start=0.0,
        look_every=0, held_out=0.0, log_every=1,
    )  # fmt: skip
    return replace(
        config, classifier=replace(config.classifier, **once), affinity=replace(config.affinity, **once),
        student_training=student, features=None,
    )  # fmt: skip
