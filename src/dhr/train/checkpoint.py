"""The state of a training in one safetensors file, written atomically and without pickle."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from dhr.errors import OutputError
from dhr.files import remove, write_bytes
from dhr.parsing import Fields, as_number, parse_json
from dhr.tensors import check_finite, read_tensors
from dhr.words import one_line

_SUFFIX = ".safetensors"
_NAMED = 5  # differences


@dataclass(frozen=True)
class State:
    """The content of a file of :func:`write_state`."""

    step: int
    about: Mapping[str, Any]
    parts: Mapping[str, Any]


def write_state(path: Path, step: int, parts: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write the state of a training after ``step`` steps or epochs.

    Args:
        parts: state dicts of modules and optimisers, by name.
        about: settings that must be the same when the file is read again; JSON.

    Raises:
        OutputError: the disk refuses.
    """
    tensors: dict[str, Tensor] = {}
    others = {name: _flatten(state, name, tensors) for name, state in parts.items()}
    whole = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    # One entry of metadata: safetensors writes several in any order.
    write_bytes(path, save(whole, {"state": json.dumps({"step": step, "about": about, "rest": others})}))


def read_state(path: Path, device: torch.device) -> State:
    """Read a file of :func:`write_state`.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is damaged.
    """
    try:
        tensors, metadata = read_tensors(path, device=device)
        held = Fields(parse_json(metadata.get("state", "{}")))
        parts = {name: _unflatten(part, tensors) for name, part in held.object("rest").items()}
        return State(held.whole("step", 0, 1 << 40), held.object("about"), parts)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(one_line(error, 120)) from error


class Checkpoints:
    """Files ``step-00000012.safetensors`` of a folder."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def write(self, step: int, parts: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Write a state (:func:`write_state`), then delete all but the newest ``keep`` files.

        Raises:
            OutputError: the disk refuses; earlier files stay.
        """
        write_state(self.folder / f"step-{step:08d}{_SUFFIX}", step, parts, about)
        for old in self._files()[: -self.keep]:
            remove(self.folder, old.name)

    def read(self, about: Mapping[str, Any], device: torch.device) -> State | None:
        """Read the newest file; None if there is no file.

        Raises:
            OutputError: it is damaged, or belongs to another training.
        """
        files = self._files()
        if not files:
            return None
        path = files[-1]
        try:
            state = read_state(path, device)
        except (OSError, ValueError) as error:
            more = "continues from the one before" if len(files) > 1 else "starts again"
            raise OutputError(
                f"{path} is damaged ({one_line(error, 120)}); delete it, and the training then {more}"
            ) from error
        changed = sorted(_differing(state.about, json.loads(json.dumps(about))))
        if changed:
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            raise OutputError(
                f"{path} belongs to another training: {', '.join(changed[:_NAMED])}{more} differ; choose "
                "another folder with --out"
            )
        return state

    @property
    def any(self) -> bool:
        """Whether there is a file."""
        return bool(self._files())

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"step-*{_SUFFIX}"))


def load_network(network: nn.Module, state: Any) -> None:
    """Load a state dict from outside into a network.

    Raises:
        ValueError: it belongs to another network, or holds NaN or infinity.
    """
    try:
        network.load_state_dict(state)
    except Exception as error:  # torch raises any exception for something else than a state dict
        raise ValueError(one_line(error, 120)) from error
    check_finite(network.state_dict())


def load_optimiser(optimiser: torch.optim.Optimizer, state: Any) -> None:
    """Load the state dict of an optimiser from outside.

    Raises:
        ValueError: it belongs to other parameters or settings, or holds NaN or infinity.
    """
    before = [dict(group) for group in optimiser.param_groups]
    try:
        optimiser.load_state_dict(state)
        for old, new in zip(before, optimiser.param_groups, strict=True):
            as_number(new["lr"], 0, name="lr")
            if differ := [key for key in old if key not in ("lr", "params") and old[key] != new.get(key)]:
                raise ValueError(f"{differ[0]}: expected {old[differ[0]]!r}, got {new.get(differ[0])!r}")
        for parameter, values in optimiser.state.items():
            tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
            if any(value.shape not in (parameter.shape, torch.Size([])) for value in tensors.values()):
                raise ValueError("the state of the optimiser has other shapes than its parameters")
            check_finite(tensors)
    except Exception as error:  # torch raises any exception for something else than a state dict
        raise ValueError(one_line(error, 120)) from error


def _differing(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of nested settings that differ."""
    for key in {*one, *other}:
        mine, theirs = one.get(key), other.get(key)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            yield from _differing(mine, theirs, f"{prefix}{key}.")
        elif mine != theirs:
            yield f"{prefix}{key}"


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by ``{"tensor": name}``, and dicts by lists of pairs, because keys may be numbers."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _flatten(entry, f"{name}.{key}", tensors)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_flatten(entry, f"{name}.{index}", tensors) for index, entry in enumerate(value)]}
    return {"value": value}


def _unflatten(value: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "pairs" in value:
        return {key: _unflatten(entry, tensors) for key, entry in value["pairs"]}
    if "list" in value:
        return [_unflatten(entry, tensors) for entry in value["list"]]
    if "tuple" in value:
        return tuple(_unflatten(entry, tensors) for entry in value["tuple"])
    return value["value"]
