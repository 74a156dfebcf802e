"""The two networks of a run: built, trained, and read back."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from dhr.data.samples import DataSet, Sample
from dhr.errors import WeightsError
from dhr.files import write_bytes
from dhr.models.uss import UssModel, build_uss
from dhr.models.weights import NONE
from dhr.models.wss import WssModel, build_wss
from dhr.models.wss.classifier import TagClassifier
from dhr.pipeline.folder import OutputFolder
from dhr.pipeline.settings import RunConfig
from dhr.train.classifier import train_classifier


@dataclass(frozen=True)
class Models:
    """Both networks, on the device, in evaluation mode."""

    wss: WssModel
    uss: UssModel


def build_models(data: DataSet, config: RunConfig, folder: OutputFolder, device: torch.device) -> Models:
    """Build both models; a classifier that is trained already gets its weights here."""
    torch.manual_seed(config.seed)
    trained = config.classifier or (folder.classifier if folder.classifier.is_file() else None)
    wss_config = config.wss if trained is None else replace(config.wss, weights=NONE)
    wss = build_wss(wss_config, len(data.classes.foreground))
    if trained is not None and isinstance(wss, nn.Module):
        _load_classifier(wss, trained, data)
    uss = build_uss(config.uss)
    for model in (wss, uss):
        if isinstance(model, nn.Module):
            model.to(device).eval()
    if isinstance(wss, nn.Module):
        wss.to(memory_format=torch.channels_last)
    return Models(wss, uss)


def _load_classifier(wss: nn.Module, path: Path, data: DataSet) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            names = json.loads((file.metadata() or {}).get("classes", "null"))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"--classifier: {path} is no classifier.safetensors of a run ({error})") from error
    if names != list(data.classes.names):
        raise WeightsError(
            f"--classifier: {path} was trained for the classes {_first(names)}; "
            f"the data set has {_first(data.classes.names)}"
        )
    wanted = wss.state_dict()
    differ = [
        key
        for key in {*wanted, *state}
        if key not in wanted or key not in state or wanted[key].shape != state[key].shape
    ]
    if differ:
        raise WeightsError(
            f"--classifier: {path} is of another network than the settings name: {len(differ)} parameters differ, "
            f"first {', '.join(sorted(differ)[:3])}; give the settings that it was trained with"
        )
    wss.load_state_dict(state)


def _first(names: Sequence[str] | None) -> str:
    return (
        "unknown" if names is None else ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    )


def train(
    wss: WssModel,
    data: DataSet,
    samples: Sequence[Sample],
    config: RunConfig,
    folder: OutputFolder,
    progress: Callable[[int, int], None],
) -> None:
    """Train the classifier on the tags and write it to the folder, unless that is done."""
    if config.classifier is not None or not isinstance(wss, TagClassifier):
        return
    if not folder.classifier.is_file():
        train_classifier(
            wss,
            data,
            samples,
            config.train,
            freeze_norm=config.train.freeze_norm and config.wss.weights != NONE,
            long_side=config.image.long_side,
            seed=config.seed,
            checkpoint=folder.checkpoint,
            progress=progress,
        )
        state = {key: value.cpu().contiguous() for key, value in wss.state_dict().items()}
        write_bytes(folder.classifier, save(state, {"classes": json.dumps(list(data.classes.names))}))
    folder.checkpoint.unlink(missing_ok=True)
