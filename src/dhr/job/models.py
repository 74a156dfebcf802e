"""The two networks of a run: built, trained, and read back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from dhr.data.samples import DataSet, Sample
from dhr.errors import ConfigError, WeightsError
from dhr.features import Features
from dhr.files import write_bytes
from dhr.job.features import build_features
from dhr.job.folder import OutputFolder
from dhr.job.settings import RunConfig
from dhr.job.stored_maps import StoredMaps, stored_maps
from dhr.job.weights import run_weights
from dhr.models.remote import require
from dhr.models.weights import NONE
from dhr.models.wss import FILES, WssModel, build_wss
from dhr.models.wss.classifier import TagClassifier
from dhr.models.wss.irn import IrnClassifier
from dhr.parsing import Fields, parse_json
from dhr.progress import Progress
from dhr.tensors import check_finite, read_tensors
from dhr.train.affinity import train_affinity
from dhr.train.classifier import train_classifier
from dhr.train.crops import TrainingSet


@dataclass(frozen=True)
class Models:
    """Both networks, on the device, in evaluation mode."""

    wss: WssModel | StoredMaps
    uss: Features
    """Features of the USS network, or of the store."""


def build_models(data: DataSet, config: RunConfig, folder: OutputFolder, device: torch.device) -> Models:
    """Build both models; a classifier, and heads, that are trained already get their weights here."""
    torch.manual_seed(config.seed)
    trained = config.classifier.file or (folder.classifier if folder.classifier.is_file() else None)
    require(run_weights(config, trained is not None))
    wss_config = config.wss if trained is None else replace(config.wss, weights=NONE)
    wss: WssModel | StoredMaps
    if config.wss.kind == FILES:
        wss = stored_maps(wss_config, data.classes)
    else:
        wss = build_wss(wss_config, [data.classes.names[index] for index in data.classes.foreground])
    network = wss.network if isinstance(wss, StoredMaps) else wss
    if trained is not None and not isinstance(network, TagClassifier):
        raise ConfigError(
            f"--classifier.file: wss.kind {config.wss.kind} with wss.backbone {config.wss.backbone} has none"
        )
    if trained is not None and isinstance(network, nn.Module):
        _load_classifier(network, trained, data)
    if isinstance(wss, IrnClassifier) and folder.affinity.is_file():
        _load_heads(wss, folder.affinity)
    if isinstance(network, nn.Module):
        network.to(device).eval()
        network.to(memory_format=torch.channels_last)
    return Models(wss, build_features(config, device))


def _load_classifier(wss: nn.Module, path: Path, data: DataSet) -> None:
    try:
        names, state = _read(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"--classifier.file: {path} is not a classifier.safetensors of a run ({reason})") from error
    if names != list(data.classes.names):
        raise WeightsError(
            f"--classifier.file: {path} was trained for the classes {_first(names)}; "
            f"the data set has {_first(data.classes.names)}"
        )
    differ = _differ(tag_state(wss), state)
    if differ:
        raise WeightsError(
            f"--classifier.file: {path} is of another network than the settings name: {len(differ)} parameters differ, "
            f"first {', '.join(differ[:3])}; give the settings that it was trained with"
        )
    try:
        check_finite(state)
    except ValueError as error:
        raise WeightsError(
            f"--classifier.file: {path} cannot be used: {error}; delete it, and it is trained again"
        ) from error
    wss.load_state_dict(state, strict=False)  # what it lacks are heads, which are trained on it


def _load_heads(wss: IrnClassifier, path: Path) -> None:
    try:
        _, state = _read(path)
        if differ := _differ(wss.heads.state_dict(), state):
            raise ValueError(f"{len(differ)} parameters differ, first {', '.join(differ[:3])}")
        check_finite(state)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{path} is damaged ({reason}); delete it, and the heads are trained again") from error
    wss.heads.load_state_dict(state)


def _read(path: Path) -> tuple[list[str] | None, dict[str, Tensor]]:
    """Names of the classes, and parameters, of a file that :func:`_write` wrote."""
    state, metadata = read_tensors(path)
    if "classes" not in metadata:
        return None, state
    return list(Fields({"classes": parse_json(metadata["classes"])}).texts("classes")), state


def _write(path: Path, state: Mapping[str, Tensor], data: DataSet) -> None:
    whole = {key: value.cpu().contiguous() for key, value in state.items()}
    write_bytes(path, save(whole, {"classes": json.dumps(list(data.classes.names))}))


def tag_state(wss: nn.Module) -> dict[str, Tensor]:
    """Parameters of encoder and classifier, which are the same with heads and without."""
    heads = {f"heads.{key}" for key in wss.heads.state_dict()} if isinstance(wss, IrnClassifier) else set()
    return {key: value for key, value in wss.state_dict().items() if key not in heads}


def _differ(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Parameters that only one of both has, or that have another shape."""
    return sorted(
        key
        for key in {*wanted, *state}
        if key not in wanted
        or key not in state
        or wanted[key].shape != state[key].shape
        or wanted[key].is_floating_point() != state[key].is_floating_point()
    )


def _first(names: Sequence[str] | None) -> str:
    return (
        "unknown" if names is None else ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    )


def train(
    wss: WssModel | StoredMaps,
    data: DataSet,
    samples: Sequence[Sample],
    config: RunConfig,
    folder: OutputFolder,
    progress: Progress,
) -> None:
    """Train the classifier on the tags and write it to the folder, unless that is done."""
    if config.classifier.file is not None or not isinstance(wss, TagClassifier):
        return
    if not folder.classifier.is_file():
        train_classifier(
            wss,
            TrainingSet(data, samples, config.image.long_side, config.seed),
            config.classifier,
            freeze_norm=config.wss.weights != NONE,
            checkpoint=folder.checkpoint,
            progress=progress,
        )
        _write(folder.classifier, tag_state(wss), data)
    folder.remove_checkpoint(folder.checkpoint)


def train_heads(
    wss: IrnClassifier,
    data: DataSet,
    samples: Sequence[Sample],
    config: RunConfig,
    folder: OutputFolder,
    progress: Progress,
) -> None:
    """Train the heads on the trained classifier's CAMs and write them to the folder, unless that is done."""
    if not folder.affinity.is_file():
        train_affinity(
            wss,
            TrainingSet(data, samples, config.image.long_side, config.seed),
            config.affinity,
            checkpoint=folder.affinity_checkpoint,
            progress=progress,
        )
        _write(folder.affinity, wss.heads.state_dict(), data)
    folder.remove_checkpoint(folder.affinity_checkpoint)
