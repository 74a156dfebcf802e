"""YAML files of settings, and the files that they name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dhr.errors import ConfigError
from dhr.files import read_regular
from dhr.models.config import HUB, NONE
from dhr.plain_yaml import MAX_BYTES, parse_yaml

OWN = "source_settings"
"""The setting that holds settings of sources."""

WEIGHTS = ("wss.weights", "uss.weights", "uss.head", "mask2former.weights")
"""Settings that may be files, beside paths."""


def beside(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Look for the files that a YAML file names from its ``folder``; names of weights and models stay."""
    moved = dict(values)
    for name, value in values.items():
        if isinstance(value, Path) or (name in WEIGHTS and value not in (None, HUB, NONE)):
            moved[name] = type(value)(folder / value)
        elif name == "mask2former.model" and (folder / value).is_dir():
            moved[name] = str(folder / value)
        elif name == OWN:
            moved[name] = {
                kind: {one.removeprefix("wss."): found for one, found in _own_beside(own, folder).items()}
                for kind, own in value.items()
            }
    return moved


def _own_beside(own: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return beside({f"wss.{name}": value for name, value in own.items()}, folder)


def read_settings(file: Path, option: str = "--config") -> dict[str, Any]:
    """Read a YAML file of settings, which ``option`` names.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        settings = parse_yaml(read_regular(file, MAX_BYTES).decode()) or {}
    except OSError as error:
        raise ConfigError(f"{option}: cannot read {file} ({error.strerror}); name a YAML file") from error
    except ValueError as error:
        raise ConfigError(f"{option}: {file} is not a YAML file of settings ({error})") from error
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise ConfigError(f"{option}: {file} must hold settings, `name: value`; see configs/ for examples")
    if odd := next(_odd_keys(settings), None):
        raise ConfigError(f"{option}: {file}: the name {odd} is not text; put it in quotes")
    if "config" in settings:
        raise ConfigError(f"{option}: {file} names another file of settings; join them")
    return settings


def _odd_keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                yield repr(key)[:80]
            yield from _odd_keys(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _odd_keys(entry)
