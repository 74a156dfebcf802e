"""Building timm networks: with weights from the hub, from a local file, or random."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dhr.errors import ConfigError, WeightsError
from dhr.files import check_regular
from dhr.models.cards import IMAGENET
from dhr.models.config import HUB as HUB
from dhr.models.config import NONE as NONE
from dhr.models.config import Mask2FormerConfig, UssConfig, WssConfig
from dhr.words import one_line

_ELSEWHERE = frozenset({"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"})
"""Options of ``timm.create_model`` that lead to files and downloads."""


def build_timm(model: str, weights: str, setting: str, options: Mapping[str, Any]) -> Any:
    """Make the timm network ``model``, an ``nn.Module``.

    Args:
        model: a name in ``timm.list_models()``.
        weights: ``hub`` (from timm's cache, or downloaded), ``none`` (random), or a file: safetensors or a PyTorch
            state dict. Nothing in the file is executed.
        setting: the command's setting that holds ``weights``, for messages.
        options: further arguments of ``timm.create_model``.

    Raises:
        ConfigError: timm has no such model, or the model refuses the options.
        WeightsError: the weights are missing, damaged, or of another architecture.
    """
    import timm

    if elsewhere := sorted(_ELSEWHERE & {*options}):
        raise ConfigError(f"timm's option {elsewhere[0]!r} is not allowed here; name weights with --{setting}")
    if not timm.is_model(model):
        near = timm.list_models(f"*{model.split('_')[0].split('.')[0]}*")[:5]
        raise ConfigError(f"timm has no model {model!r}; names like it: {', '.join(near) or 'none'}")
    try:
        network: nn.Module = timm.create_model(model, pretrained=False, **options)
    except Exception as error:  # a constructor raises any exception for wrong options
        raise ConfigError(f"timm cannot build {model!r} with {dict(options)}: {one_line(error)}") from error
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
    if path.suffix != ".safetensors":  # some releases of timm execute what a pickled file asks for; this refuses it
        read_state(path, repr(model), setting)
    here = {"file": str(path), "custom_load": False}  # else timm would ask the server again
    try:
        network: nn.Module = timm.create_model(model, pretrained=True, pretrained_cfg_overlay=here, **options)
    except Exception as error:  # parsers of damaged files raise any exception
        raise WeightsError(
            f"cannot read the weights of {model!r}, {path} ({one_line(error)}); delete that file, and they are fetched "
            f"again, or name a local file: --{setting} FILE"
        ) from error
    return network


def load_weights(network: nn.Module, path: Path, model: str, setting: str) -> None:
    """Load ``path`` into ``network``; every parameter must be in the file, with its shape. Others are ignored.

    Raises:
        WeightsError: the file is missing, no state dict, or of another architecture (the first keys that differ are
            named).
    """
    from timm.models import model_entrypoint

    wrapped = getattr(network, "model", None)
    inner = wrapped if isinstance(wrapped, nn.Module) else network
    convert = getattr(sys.modules[model_entrypoint(model).__module__], "checkpoint_filter_fn", None)
    state = read_state(path, repr(model), setting, None if convert is None else lambda found: convert(found, inner))
    fit_state(inner, state, f"--{setting}: {path}", repr(model), spare=True)


def read_state(
    path: Path, model: str, setting: str, convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None
) -> dict[str, Tensor]:
    """Read the tensors of a file: safetensors, or a PyTorch state dict. Nothing in the file is executed.

    Args:
        model: the expected network, for messages.
        convert: from older names of parameters to the present ones.

    Raises:
        WeightsError: no such file, or not a state dict.
    """
    from timm.models import load_state_dict

    if not path.is_file():
        raise WeightsError(f"--{setting}: no file {path}; expected safetensors or a PyTorch state dict of {model}")
    try:
        state: dict[str, Tensor] = load_state_dict(str(path), weights_only=True)
        if convert is not None:
            state = convert(state)
        return {key: value for key, value in state.items() if isinstance(value, Tensor)}
    except Exception as error:  # parsers of damaged files raise any exception
        raise WeightsError(
            f"--{setting}: {path} is not a readable state dict of {model} ({one_line(error)}); "
            "expected safetensors or a file that torch.load(weights_only=True) reads"
        ) from error


def check_folder(folder: Path, setting: str) -> None:
    """Refuse a folder of a model with a pipe or a device in it, for which a reader would wait forever.

    Raises:
        WeightsError: something in it is neither a file nor a folder.
    """
    for path in sorted(folder.iterdir()):
        try:
            if not path.is_dir():
                check_regular(path)
        except OSError as error:
            raise WeightsError(f"--{setting}: {path} cannot be read: {error.strerror or error}; remove it") from error


def fit_state(network: nn.Module, state: Mapping[str, Tensor], source: str, what: str, *, spare: bool = False) -> None:
    """Load ``state`` into ``network``.

    Args:
        source: the file, for the message: ``--setting: file``.
        what: the network, for the message.
        spare: whether ``state`` may hold more than the network.

    Raises:
        WeightsError: names or shapes differ; the first that do are named.
    """
    wanted = network.state_dict()
    differ = [
        f"{key} {tuple(value.shape)} ("
        + (f"file: {tuple(state[key].shape)}" if key in state else "not in the file")
        + ")"
        for key, value in wanted.items()
        if not key.endswith("num_batches_tracked") and (key not in state or state[key].shape != value.shape)
    ]
    if not spare:
        differ += [f"{key} (only in the file)" for key in state if key not in wanted]
    if differ:
        raise WeightsError(
            f"{source} holds weights of another architecture than {what}: {len(differ)} of {len(wanted)} parameters "
            f"differ, first {'; '.join(differ[:3])}"
        )
    network.load_state_dict({key: state.get(key, value).to(value.dtype) for key, value in wanted.items()})


def normalisation(
    network: nn.Module, config: UssConfig | WssConfig | Mask2FormerConfig | None = None
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, (3, 1, 1) each, of the RGB inputs (0..1) that ``network`` was trained on.

    ``mean`` and ``std`` of ``config`` replace timm's.
    """
    facts = getattr(network, "pretrained_cfg", None) or getattr(getattr(network, "model", None), "pretrained_cfg", {})
    mean = (config and config.mean) or facts.get("mean", IMAGENET[0])
    std = (config and config.std) or facts.get("std", IMAGENET[1])
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
