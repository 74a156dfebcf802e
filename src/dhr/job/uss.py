"""A head on unsupervised features, trained on photographs alone, in a folder of its own."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import dhr
from dhr.data.photographs import list_photographs
from dhr.data.samples import Problem
from dhr.job.folder import OutputFolder
from dhr.job.head_config import HeadTraining as HeadTraining
from dhr.job.settings import RunConfig, plain
from dhr.models.uss.backbone import build_backbone
from dhr.models.uss.head_file import describe, write_head
from dhr.progress import Progress, silent
from dhr.train.frozen import FrozenCrops


@dataclass(frozen=True)
class TrainedHead:
    """What a training ended with."""

    head: Path
    photographs: int
    skipped: tuple[Problem, ...]


def train_head(
    data: Path,
    split: str | None,
    out: Path,
    config: HeadTraining,
    progress: Progress = silent,
) -> TrainedHead:
    """Train a head of ``config.kind`` on the photographs of ``data``; interrupted, the same call goes on.

    Tags and truth are never read; ``data`` need not have any.

    Raises:
        ConfigError: settings that cannot work.
        DataError: there is no photograph.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: the network's weights cannot be had.
    """
    listing = list_photographs(data, split)
    device = RunConfig(device=config.head.device).find_device()
    folder = OutputFolder(out)
    with closing(folder.lock()):
        known = (folder.read() or {}).get("identity", {})
        torch.manual_seed(config.head.seed)  # for weights `none`
        backbone = build_backbone(config.uss).to(device).eval()
        below = describe(config.uss, backbone)
        identity: dict[str, Any] = {"dhr": dhr.__version__, "settings": _settings(config, device, below)}
        folder.refuse_other(known, identity)
        folder.write_record({"status": "running", "command": "uss train", "identity": {**known, **identity}})
        crops = FrozenCrops(listing.listed, backbone, config.head, device)
        seen = crops.look(progress)
        identity["photographs"] = seen.digest
        folder.refuse_other(known, identity)
        folder.write_record({"status": "running", "command": "uss train", "identity": identity})
        path = folder.head
        if not path.is_file():
            head = TRAININGS[config.kind]()(
                crops,
                seen.means,
                config.head,
                getattr(config, config.kind),
                device=device,
                checkpoint=folder.head_checkpoint,
                progress=progress,
            )
            write_head(path, config.kind, head, head.shape, below)
        for checkpoint in folder.head_checkpoint.parent.glob("*.checkpoint"):
            folder.remove_checkpoint(checkpoint)
        problems = (*listing.problems, *seen.problems)
        folder.write_record(
            {"status": "finished", "command": "uss train", "identity": identity,
             "photographs": len(crops.photographs), "skipped": [asdict(problem) for problem in problems]}
        )  # fmt: skip
    return TrainedHead(path, len(crops.photographs), problems)


def _settings(config: HeadTraining, device: torch.device, below: dict[str, Any]) -> dict[str, Any]:
    """Every setting that the head depends on."""
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
"""By kind: what gives the function that trains its head; the section of its settings has the same name."""
