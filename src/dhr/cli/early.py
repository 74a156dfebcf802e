"""What must be known of the arguments before they can be parsed: the preset, and the file of settings.

It is read before anything large is imported, and refused before anything is made of it.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhr.api.renamed import refuse_old_names, refuse_old_options
from dhr.cli.yaml_text import read_yaml
from dhr.errors import ConfigError
from dhr.method.config import PRESETS


@dataclass(frozen=True)
class Early:
    """What must be known of the arguments before they can be parsed."""

    arguments: list[str]
    """The YAML file first, so that the others win."""
    preset: str
    file: Path | None
    """The YAML file."""
    settings: Mapping[str, Any]
    """What it says."""


def early(arguments: Sequence[str]) -> Early:
    """Look for the preset and the YAML file among the arguments, and read the file.

    Raises:
        ConfigError: there is no such preset, or the file is no YAML of settings.
    """
    first = argparse.ArgumentParser(prog=f"dhr {arguments[0]}", add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path, action="append", default=[])
    files, others = first.parse_known_args(arguments)
    first.add_argument("--preset")
    known, _ = first.parse_known_args(others)
    if len(files.config) > 1:
        raise ConfigError(f"--config can be given once, got {len(files.config)} files; join them")
    file: Path | None = next(iter(files.config), None)
    refuse_old_options(others)
    settings = {} if file is None else _read_settings(file)
    preset = known.preset or settings.get("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ConfigError(f"--preset must be one of {', '.join(PRESETS)}; got {preset!r}")
    if file is not None:
        others = [others[0], "--config", str(file), *others[1:]]
    return Early(others, preset, file, settings)


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = read_yaml(file) or {}
    except OSError as error:
        raise ConfigError(f"--config: cannot read {file} ({error.strerror}); name a YAML file") from error
    except ValueError as error:
        raise ConfigError(f"--config: {file} is not a YAML file of settings ({error})") from error
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise ConfigError(f"--config: {file} must hold settings, `name: value`; see configs/ for examples")
    if odd := next(_odd_keys(settings), None):
        raise ConfigError(f"--config: {file}: the name {odd} is not text; put it in quotes")
    refuse_old_names(settings, f"--config: {file}")
    if "config" in settings:
        raise ConfigError(f"--config: {file} names another file of settings; join them")
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
