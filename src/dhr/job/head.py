"""A head on unsupervised features, trained on photographs alone, in a folder of its own."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

import dhr
from dhr.data.photographs import list_photographs
from dhr.data.samples import Problem
from dhr.job.head_config import HeadTraining
from dhr.job.job import Job, Stage, go
from dhr.job.settings import RunConfig, plain
from dhr.models.uss.backbone import build_backbone
from dhr.models.uss.head_file import describe, write_head
from dhr.progress import Progress, silent
from dhr.records.run import Identity, RunRecord
from dhr.train.frozen import FrozenCrops


@dataclass(frozen=True)
class TrainedHead:
    """The result of a training."""

    head: Path
    photographs: int
    skipped: tuple[Problem, ...]


def train_head(
    data: Path, split: str | None, out: Path, config: HeadTraining, *, progress: Progress = silent
) -> TrainedHead:
    """Train a head of ``config.kind`` on the photographs of ``data``; the same call continues an interrupted training.

    Tags and ground truth are never read; ``data`` may lack them.

    Raises:
        ConfigError: settings that cannot work.
        DataError: there is no photograph.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: the network's weights cannot be had.
    """
    listing = list_photographs(data, split)
    device = RunConfig(device=config.head.device).find_device()
    torch.manual_seed(config.head.seed)  # for weights `none`
    backbone = build_backbone(config.uss).to(device).eval()
    below = describe(config.uss, backbone)
    identity = Identity(dhr.__version__, settings=_settings(config, device, below))
    now = RunRecord(identity, kind="head", dhr=dhr.__version__, seed=config.head.seed)
    crops = FrozenCrops(listing.listed, backbone, config.head, device)
    with Job.open(out, lambda before: now, device, progress=progress) as job:
        job.refuse_other(identity)
        job.problems += listing.problems
        means: list[Float[Tensor, "n d"]] = []

        def look(job: Job) -> None:
            job.save()
            seen = crops.look(job.progress)
            means.append(seen.means)
            job.problems += seen.problems
            job.refuse_other(replace(job.record.identity, data=seen.digest))

        def fit(job: Job) -> None:
            head = TRAININGS[config.kind]()(
                crops,
                means[0],
                config.head,
                getattr(config, config.kind),
                device=job.device,
                checkpoint=job.folder.checkpoint("head"),
                progress=job.progress,
            )
            write_head(job.folder.head, config.kind, head, head.shape, below)

        go(job, [Stage("features", look), Stage("head", fit, done=lambda job: job.folder.head.is_file())])
        job.record = replace(job.record, photographs=len(crops.photographs))
        return TrainedHead(job.folder.head, len(crops.photographs), tuple(job.problems))


def _settings(config: HeadTraining, device: torch.device, below: dict[str, Any]) -> dict[str, Any]:
    """Return every setting that the head depends on."""
    head = asdict(config.head)
    head.pop("memory_mb")
    head["device"] = device.type
    own = asdict(getattr(config, config.kind))
    uss = {name: getattr(config.uss, name) for name in ("mean", "std", "options")}
    return plain({"kind": config.kind, "below": below, "uss": uss, "head": head, config.kind: own})


def _stego() -> Callable[..., Any]:
    from dhr.train.stego import train_stego

    return train_stego


def _cause() -> Callable[..., Any]:
    from dhr.train.cause import train_cause

    return train_cause


TRAININGS: dict[str, Callable[[], Callable[..., Any]]] = {"stego": _stego, "cause": _cause}
"""By kind: a function that imports the training of its head; its group of settings has the same name."""
