"""Files of trained weights: tensors, the classes that they are for, and the settings that they were trained with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from dhr.data.samples import ClassTable
from dhr.errors import WeightsError
from dhr.files import write_bytes
from dhr.models.config import HUB, NONE
from dhr.parsing import Fields, parse_json
from dhr.sources.protocol import Given, SourceSettings
from dhr.tensors import check_finite, read_tensors
from dhr.train.student_header import plain_setting

_ABOUT = "dhr"  # one entry of the metadata, since safetensors writes several in an order that changes
_STORED: Mapping[str, tuple[str, ...]] = {
    "wss": (
        *("backbone", "weights", "output_stride", "cam", "layer", "blocks", "mean", "std", "options", "scales"),
        "flip",
    ),
    "image": ("long_side", "grid_stride"),
}
"""Settings that a file of weights carries, by section. The kind is not among them: sources of several kinds use one
classifier."""


def write_weights(path: Path, state: Mapping[str, Tensor], given: Given) -> None:
    """Write tensors with the names of the classes and the settings that they were trained with."""
    whole = {key: value.cpu().contiguous() for key, value in state.items()}
    about = {"classes": list(given.classes.names), "settings": _carried(given.settings)}
    write_bytes(path, save(whole, {_ABOUT: json.dumps(about)}))


def stored_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Read the settings that a `classifier.safetensors` was trained with, by section (`wss`, `image`).

    Files of older versions lack them, and give an empty dictionary. Nothing in the file is executed. Settings that name
    another file or a hub are refused.

    Raises:
        WeightsError: the file cannot be read, or holds impossible settings.
    """
    try:
        _, metadata = read_tensors(path)
        about = Fields(parse_json(metadata.get(_ABOUT, '{"settings": {}}')))
        sections = about.fields("settings")
        found = {}
        for section in sections.names():
            if section not in _STORED:
                raise ValueError(f"settings: expected {' and '.join(_STORED)}, got {section[:40]!r}")
            values = sections.object(section)
            if unknown := [name for name in values if name not in _STORED[section]]:
                raise ValueError(f"settings.{section}: {unknown[0][:40]!r} is unknown; a newer dhr may have it")
            found[section] = {name: plain_setting(value, f"{section}.{name}") for name, value in values.items()}
        return found
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def load_classifier(path: Path, network: nn.Module, state: Mapping[str, Tensor], classes: ClassTable) -> None:
    """Load a trained classifier into ``network``, which may have more parameters than those of ``state``.

    Args:
        path: a `classifier.safetensors`.
        network: takes the values.
        state: the parameters that the file must hold, in their shapes.
        classes: the class table of the data set.

    Raises:
        WeightsError: the file is damaged, or belongs to other classes or to another network.
    """
    try:
        tensors, metadata = read_tensors(path)
        names = _classes(metadata)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if names != list(classes.names):
        raise WeightsError(
            f"--classifier.file: {path} was trained for the classes {_first(names)}; "
            f"the data set has {_first(classes.names)}"
        )
    if differ := _differing(state, tensors):
        raise WeightsError(
            f"--classifier.file: {path} is of another network than the settings name: {len(differ)} parameters "
            f"differ, first {', '.join(differ[:3])}; give the settings that it was trained with"
        )
    try:
        check_finite(tensors)
    except ValueError as error:
        raise WeightsError(
            f"--classifier.file: {path} cannot be used: {error}; give another file, or train again "
            "with --redo classifier"
        ) from error
    network.load_state_dict(tensors, strict=False)  # heads are missing in the file; they are trained on it


def load_heads(path: Path, network: nn.Module) -> None:
    """Load heads that were trained on a classifier.

    Raises:
        WeightsError: the file is damaged, or belongs to other heads.
    """
    try:
        tensors, _ = read_tensors(path)
        if differ := _differing(network.state_dict(), tensors):
            raise ValueError(f"{len(differ)} parameters differ, first {', '.join(differ[:3])}")
        check_finite(tensors)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{path} is damaged ({reason}); train the heads again with --redo affinity") from error
    network.load_state_dict(tensors)


def _carried(settings: SourceSettings) -> dict[str, dict[str, Any]]:
    """Return the settings for the file; those that name other files or a hub are left out."""
    found: dict[str, dict[str, Any]] = {}
    for section, names in _STORED.items():
        values = asdict(getattr(settings, section))
        if values.get("weights") not in (None, HUB, NONE):
            del values["weights"]
        plain = {name: json.loads(json.dumps(values[name])) for name in names if name in values}
        found[section] = {name: value for name, value in plain.items() if _is_plain(value, f"{section}.{name}")}
    return found


def _is_plain(value: Any, name: str) -> bool:
    try:
        plain_setting(value, name)
    except ValueError:
        return False
    return True


def _classes(metadata: Mapping[str, str]) -> list[str] | None:
    """Return the names of the classes; None in files without them. Older files have a separate entry for them."""
    if _ABOUT in metadata:
        return list(Fields(parse_json(metadata[_ABOUT])).texts("classes"))
    if "classes" in metadata:
        return list(Fields({"classes": parse_json(metadata["classes"])}).texts("classes"))
    return None


def _unreadable(path: Path, error: Exception) -> WeightsError:
    reason = getattr(error, "strerror", None) or error
    return WeightsError(f"--classifier.file: {path} is not a classifier.safetensors of a run ({reason})")


def _differing(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Return the parameters that only one of both has, or that have another shape."""
    return sorted(
        key
        for key in {*wanted, *state}
        if key not in wanted
        or key not in state
        or wanted[key].shape != state[key].shape
        or wanted[key].is_floating_point() != state[key].is_floating_point()
    )


def _first(names: Sequence[str] | None) -> str:
    if names is None:
        return "unknown"
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
