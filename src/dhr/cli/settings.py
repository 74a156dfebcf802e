"""Settings of ``dhr run`` and ``dhr train``: presets, YAML files, and the command line, from their typed signatures."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from dhr.cli.command import add_format
from dhr.cli.early import Early
from dhr.errors import ConfigError
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.models.student import Mask2FormerConfig
from dhr.models.uss import UssConfig
from dhr.models.weights import HUB, NONE


def check_groups(given: Early) -> None:
    """Refuse groups of settings in the YAML file that hold something else than settings.

    Raises:
        ConfigError: one does.
    """
    for group in (field.name for field in fields(RunConfig) if is_dataclass(field.default_factory)):
        if not isinstance(found := given.settings.get(group, {}), dict):
            raise ConfigError(
                f"--config: {given.file}: {group} must hold settings, `name: value`; got {str(found)[:80]!r}"
            )


def add_settings(parser: ArgumentParser, preset: str, out: bool = True, data: bool = True) -> None:
    """Data and output, unless they are not needed, and all settings of a run, with the defaults of the preset."""
    parser.add_argument("--config", action="config", help="YAML file of settings")
    if data:
        parser.add_argument("--data", type=Path, required=True, help="the data folder")
        parser.add_argument("--split", type=str | None, help="only the photographs of this split")
        add_format(parser)
    if out:
        parser.add_argument("--out", type=Path, required=True, help="the output folder: new, empty, or of the same run")
    parser.add_argument(
        "--preset", type=str, default=preset, help=f"settings of the method to start from: {', '.join(PRESETS)}"
    )
    parser.add_class_arguments(RunConfig, None)
    parser.set_defaults({f"method.{name}": value for name, value in asdict(PRESETS[preset]).items()})


def run_config(made: Namespace, given: Early) -> RunConfig:
    """The settings that were parsed, with the files that the YAML file names looked for from its folder."""
    config = RunConfig(**{field.name: made[field.name] for field in fields(RunConfig)})
    return _with_paths(config, given.file, given.settings)


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
        group, _, key = name.rpartition(".")
        named = settings.get(name, settings.get(group, {}).get(key))
        return file.parent / path if path is not None and named == str(path) else path

    return replace(
        config,
        wss=replace(config.wss, weights=found(config.wss.weights, "wss"), maps=beside("wss.maps", config.wss.maps)),
        uss=uss_beside(config.uss, file, settings),
        mask2former=_model_beside(config.mask2former, file, settings.get("mask2former", {}), found),
        classifier=replace(config.classifier, file=beside("classifier.file", config.classifier.file)),
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
