"""Settings of ``dhr run`` and ``dhr train``: presets, YAML files, and the command line, from their typed signatures."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from dhr.cli.command import add_format
from dhr.cli.yaml_text import read_yaml
from dhr.errors import ConfigError
from dhr.method.config import PRESETS
from dhr.models.student import Mask2FormerConfig
from dhr.models.uss import UssConfig
from dhr.models.weights import HUB, NONE
from dhr.pipeline.settings import RunConfig


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
    settings = {} if file is None else _read_settings(file)
    preset = known.preset or settings.get("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ConfigError(f"--preset must be one of {', '.join(PRESETS)}; got {preset!r}")
    if file is not None:
        others = [others[0], "--config", str(file), *others[1:]]
    return Early(others, preset, file, settings)


def add_settings(parser: ArgumentParser, preset: str, out: bool = True) -> None:
    """Data, output (or none) and all settings of a run, with the defaults of the preset."""
    parser.add_argument("--config", action="config", help="YAML file of settings")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    if out:
        parser.add_argument("--out", type=Path, required=True, help="the output folder: new, empty, or of the same run")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    add_format(parser)
    parser.add_argument(
        "--preset", type=str, default=preset, help=f"settings of the method to start from: {', '.join(PRESETS)}"
    )
    parser.add_class_arguments(RunConfig, None)
    parser.set_defaults({f"method.{name}": value for name, value in asdict(PRESETS[preset]).items()})


def run_config(made: Namespace, given: Early) -> RunConfig:
    """The settings that were parsed, with the files that the YAML file names looked for from its folder."""
    config = RunConfig(**{field.name: made[field.name] for field in fields(RunConfig)})
    return _with_paths(config, given.file, given.settings)


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = read_yaml(file) or {}
    except OSError as error:
        raise ConfigError(f"--config: cannot read {file} ({error.strerror}); name a YAML file") from error
    except ValueError as error:
        raise ConfigError(f"--config: {file} is no YAML of settings ({error})") from error
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise ConfigError(f"--config: {file} must hold settings, `name: value`; see configs/ for examples")
    if "config" in settings:
        raise ConfigError(f"--config: {file} names another file of settings; join them")
    for group in (field.name for field in fields(RunConfig) if is_dataclass(field.default_factory)):
        if not isinstance(settings.get(group, {}), dict):
            raise ConfigError(f"--config: {file}: {group} must hold settings, `name: value`; got {settings[group]!r}")
    return settings


def _with_paths(config: RunConfig, file: Path | None, settings: Mapping[str, Any]) -> RunConfig:
    """Files that the YAML file names are meant from its folder; those of the command line from where it is called."""
    if file is None:
        return config

    def found(value: str, part: str) -> str:
        named = settings.get(part, {}).get("weights", settings.get(f"{part}.weights"))
        if value in (HUB, NONE) or named != value:
            return value
        return str(file.parent / value)

    def beside(name: str, path: Path | None) -> Path | None:
        return file.parent / path if path is not None and settings.get(name) == str(path) else path

    maps = config.wss.maps
    if maps is not None and settings.get("wss", {}).get("maps", settings.get("wss.maps")) == str(maps):
        maps = file.parent / maps
    return replace(
        config,
        wss=replace(config.wss, weights=found(config.wss.weights, "wss"), maps=maps),
        uss=uss_beside(config.uss, file, settings),
        mask2former=_model_beside(config.mask2former, file, settings.get("mask2former", {}), found),
        classifier=beside("classifier", config.classifier),
        features=beside("features", config.features),
    )


def uss_beside(config: UssConfig, file: Path, settings: Mapping[str, Any]) -> UssConfig:
    """Files of weights that the YAML file names are meant from its folder."""
    moved: dict[str, Any] = {}
    for name in ("weights", "head"):
        value = getattr(config, name)
        if value not in (None, HUB, NONE) and settings.get("uss", {}).get(name, settings.get(f"uss.{name}")) == value:
            moved[name] = str(file.parent / value)
    return replace(config, **moved)


def _model_beside(
    config: Mask2FormerConfig, file: Path, settings: Mapping[str, Any], found: Callable[[str, str], str]
) -> Mask2FormerConfig:
    """A folder that the YAML file names by `model` lies beside it, if there is one; else it is a name of the hub."""
    model = config.model
    if settings.get("model") == model and (file.parent / model).is_dir():
        model = str(file.parent / model)
    return replace(config, model=model, weights=found(config.weights, "mask2former"))
