"""A head on unsupervised features: ``dhr.train_head``."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dhr.api.results import TrainResult
from dhr.api.settings import part_settings
from dhr.job.head_config import HeadTraining
from dhr.job.settings import RunConfig
from dhr.progress import Progress, silent


def train_head(
    data: Path | str,
    out: Path | str,
    *,
    split: str | None = None,
    config: HeadTraining | str | Path | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a head on unsupervised features, without labels.

    The head turns features into codes: similar regions get closer, others farther apart. The network below the head is
    not changed.

      --kind stego  STEGO (Hamilton et al. 2022): codes keep the correlations of the features
      --kind cause  CAUSE (Kim et al. 2023): concepts are found in the features; codes tell them apart

    The output folder gets head.safetensors and run.json. The same command continues an interrupted training from the
    last epoch, and ends with the same head. --config takes a YAML file with the groups uss, head, stego and cause; the
    other groups of a run are ignored.

    Args:
        data: a data folder, or any folder of photographs; tags and ground truth are not read.
        out: the output folder: new, empty, or of the same training.
        split: only the photographs of this split.
        config: settings.
        progress: called as the work goes on.

    Returns:
        Where the head is.

    Raises:
        ConfigError: settings that cannot work.
        DataError: there is no photograph.
        WeightsError: the weights of the network cannot be had.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    others = {"preset", *(field.name for field in fields(RunConfig))} - {"uss"}
    settings = part_settings(HeadTraining, config, others)
    from dhr.api.weights import require_first
    from dhr.job.head import train_head as trained
    from dhr.models.remote import uss_remote

    data, out = Path(data), Path(out)
    require_first([uss_remote(settings.uss)], data, out)
    done = trained(data, split, out, settings, progress=progress or silent)
    use = f"dhr run --uss.kind {settings.kind} --uss.head {done.head} and the same uss.model, uss.weights and uss.block"
    return TrainResult(out, done.head, done.photographs, done.skipped, use=use)
