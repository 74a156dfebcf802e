"""Building timm networks, with weights from the hub, from a local file, or none."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dhr.errors import ConfigError, WeightsError
from dhr.files import check_regular
from dhr.models.config import HUB as HUB
from dhr.models.config import NONE as NONE

_ELSEWHERE = frozenset({"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"})
"""Options of ``timm.create_model`` that lead to files and downloads."""


def build_timm(model: str, weights: str, setting: str, options: Mapping[str, Any]) -> Any:
    """Make the timm network ``model`` (an ``nn.Module``; what else it has depends on the family).

    Args:
        model: a name that ``timm.list_models()`` knows.
        weights: ``hub`` (timm downloads them, or finds them in its cache), ``none`` (random), or a file: safetensors or
            a PyTorch state dict, which is read with ``weights_only=True`` (nothing in it is executed).
        setting: the command's setting that holds ``weights``, for messages.
        options: further arguments of ``timm.create_model``.

    Raises:
        ConfigError: timm has no such model, or the model refuses the options.
        WeightsError: the weights cannot be had, read, or are of another architecture.
    """
    import timm

    if elsewhere := sorted(_ELSEWHERE & {*options}):
        raise ConfigError(f"timm's option {elsewhere[0]!r} is not allowed here; name weights with --{setting}")
    if not timm.is_model(model):
        near = timm.list_models(f"*{model.split('_')[0].split('.')[0]}*")[:5]
        raise ConfigError(f"timm has no model {model!r}; names like it: {', '.join(near) or 'none'}")
    try:
        network: nn.Module = timm.create_model(model, pretrained=False, **options)
    except Exception as error:  # whatever the model's constructor makes of options that are not for it
        raise ConfigError(f"timm cannot build {model!r} with {dict(options)}: {error}") from error
    if weights == HUB:
        return _from_hub(model, setting, options)
    if weights != NONE:
        load_weights(network, Path(weights), model, setting)
    return network


def _from_hub(model: str, setting: str, options: Mapping[str, Any]) -> nn.Module:
    import timm

    from dhr.models.remote import fetch, timm_remote

    remote = timm_remote(model, setting)
    if remote is None:
        raise WeightsError(f"timm has no weights for {model!r}; name a file with --{setting} FILE, or --{setting} none")
    (path,) = fetch(remote)
    here = {"file": str(path), "custom_load": False}  # else timm would ask the server again
    try:
        network: nn.Module = timm.create_model(model, pretrained=True, pretrained_cfg_overlay=here, **options)
    except Exception as error:  # a damaged file raises whatever its parser happens to raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(
            f"cannot read the weights of {model!r}, {path} ({reason[0][:160]}); delete that file, and they are fetched "
            f"again, or name a local file: --{setting} FILE"
        ) from error
    return network


def load_weights(network: nn.Module, path: Path, model: str, setting: str) -> None:
    """Load ``path`` into ``network``; every parameter must be found in it, with its shape.

    What the file holds besides (a classifier that ``network`` lacks) is left out.

    Raises:
        WeightsError: no such file, not a state dict, or of another architecture (the first keys that differ are named).
    """
    from timm.models import model_entrypoint

    wrapped = getattr(network, "model", None)
    inner = wrapped if isinstance(wrapped, nn.Module) else network
    convert = getattr(sys.modules[model_entrypoint(model).__module__], "checkpoint_filter_fn", None)
    state = read_state(path, model, setting, None if convert is None else lambda found: convert(found, inner))
    fill(inner, state, str(path), model, setting)


def read_state(
    path: Path, model: str, setting: str, convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None
) -> dict[str, Tensor]:
    """The tensors of a file: safetensors, or a PyTorch state dict (nothing in it is executed).

    Args:
        model: whose weights are expected, for messages.
        convert: from older names of parameters to the present ones.

    Raises:
        WeightsError: no such file, or not a state dict.
    """
    from timm.models import load_state_dict

    if not path.is_file():
        raise WeightsError(f"--{setting}: no file {path}; expected safetensors or a PyTorch state dict of {model!r}")
    try:
        state: dict[str, Tensor] = load_state_dict(str(path))
        if convert is not None:
            state = convert(state)
        return {key: value for key, value in state.items() if isinstance(value, Tensor)}
    except Exception as error:  # a damaged file raises whatever its parser happens to raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(
            f"--{setting}: {path} is not a readable state dict of {model!r} ({reason[0][:160]}); "
            "expected safetensors or a file that torch.load(weights_only=True) reads"
        ) from error


def check_folder(folder: Path, setting: str) -> None:
    """Refuse a folder of a model in which a pipe or a device would make its reader wait without end.

    Raises:
        WeightsError: something in it is neither a file nor a folder.
    """
    for path in sorted(folder.iterdir()):
        try:
            if not path.is_dir():
                check_regular(path)
        except OSError as error:
            raise WeightsError(f"--{setting}: {path} cannot be read: {error.strerror or error}; remove it") from error


def fill(network: nn.Module, state: Mapping[str, Tensor], place: str, model: str, setting: str) -> None:
    """Load ``state`` into ``network``, all of whose parameters it must hold; what it holds besides is left out.

    Raises:
        WeightsError: it is of another architecture (the first keys that differ are named).
    """
    wanted = network.state_dict()
    differ = [
        f"{key} {tuple(value.shape)}"
        + (f" (file: {tuple(state[key].shape)})" if key in state else " (not in the file)")
        for key, value in wanted.items()
        if not key.endswith("num_batches_tracked") and (key not in state or state[key].shape != value.shape)
    ]
    if differ:
        raise WeightsError(
            f"--{setting}: {place} holds weights of another architecture than {model!r}: {len(differ)} of "
            f"{len(wanted)} parameters differ, first {'; '.join(differ[:3])}"
        )
    network.load_state_dict({key: state.get(key, value) for key, value in wanted.items()})


def normalisation(network: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (3, 1, 1) each, of the RGB inputs (0..1) that ``network`` was trained on."""
    config = getattr(network, "pretrained_cfg", None) or getattr(getattr(network, "model", None), "pretrained_cfg", {})
    mean, std = config.get("mean", (0.485, 0.456, 0.406)), config.get("std", (0.229, 0.224, 0.225))
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
