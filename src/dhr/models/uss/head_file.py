"""Heads of ``dhr train-head`` on disk: safetensors; their metadata describe the network below the head."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dhr.errors import WeightsError
from dhr.files import open_regular, write_bytes
from dhr.models.uss import UssConfig
from dhr.models.uss.backbone import Backbone
from dhr.parsing import Fields, parse_json
from dhr.tensors import check_finite

_FORMAT = "dhr-uss-head-1"
_LARGEST = 100_000  # side of any tensor


@dataclass(frozen=True)
class HeadFile:
    """A head as it was trained here."""

    kind: str
    shape: Mapping[str, int]
    """Arguments of the head's class."""
    below: Mapping[str, Any]
    """The network that it was trained on: model, block, and a digest of its parameters."""
    state: Mapping[str, Tensor]


def write_head(path: Path, kind: str, head: nn.Module, shape: Mapping[str, int], below: Mapping[str, Any]) -> None:
    """Write a head atomically.

    Raises:
        OutputError: the disk refuses.
    """
    # One entry, as safetensors writes several in any order, and a resumed training is to end with the same bytes.
    about = {_FORMAT: json.dumps({"kind": kind, "shape": dict(shape), "below": dict(below)})}
    state = {key: value.detach().cpu().contiguous() for key, value in head.state_dict().items()}
    write_bytes(path, save(state, about))


def is_head(path: Path) -> bool:
    """Return whether :func:`write_head` wrote a file, which is then without a network; only metadata are read."""
    try:
        open_regular(path).close()  # safetensors would wait for a pipe
        with safe_open(path, framework="pt") as file:
            return _FORMAT in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def parsed(content: Mapping[str, Any], about: Mapping[str, str], source: str) -> HeadFile | None:
    """Parse a file of :func:`write_head`; None if the file is another program's.

    Raises:
        WeightsError: it is ours, but not whole.
    """
    formats = [name for name in about if name.rpartition("-")[0] == _FORMAT.rpartition("-")[0]]
    if not formats:
        return None
    try:
        if formats != [_FORMAT]:
            raise ValueError(f"format {', '.join(formats)}, this version reads {_FORMAT}")
        head = Fields(parse_json(about[_FORMAT]))
        shape = head.fields("shape")
        sides = {name: shape.whole(name, 1, _LARGEST) for name in shape.names()}
        state = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        check_finite(state)
        return HeadFile(head.text("kind"), sides, head.object("below"), state)
    except ValueError as error:
        raise WeightsError(f"{source} is not a head that this version reads ({error}); train it again") from error


def describe(config: UssConfig, backbone: Backbone) -> dict[str, Any]:
    """Describe the network that a head is trained on."""
    return {"model": config.model, "block": config.block, "parameters": digest(backbone)}


def refuse_below(head: HeadFile, config: UssConfig, backbone: Backbone, source: str) -> None:
    """Raise WeightsError if the head was trained on another network."""
    now = describe(config, backbone)
    differ = [
        f"uss.weights (other parameters of {config.model!r})" if key == "parameters" else f"uss.{key} {value!r}"
        for key, value in head.below.items()
        if now.get(key) != value
    ]
    if differ:
        raise WeightsError(f"{source} was trained on another network; set it to {', '.join(differ)}")


def digest(network: nn.Module) -> str:
    """Return the digest of all parameters."""
    whole = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        whole.update(f"{key} {tuple(value.shape)} ".encode())
        whole.update(value.detach().cpu().to(torch.float32).contiguous().numpy().tobytes())
    return whole.hexdigest()[:32]
