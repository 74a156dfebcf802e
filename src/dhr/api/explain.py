"""Explanations of settings: ``dhr.settings``."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from dhr.api.result import TableResult
from dhr.api.settings import nearest, settings_of
from dhr.api.values import expected, shown
from dhr.errors import ConfigError
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS


def settings(name: str = "") -> TableResult:
    """Explain the settings of a run: all groups, one group, or one setting with its values and presets.

    Args:
        name: a group or a setting, such as classifier or method.tau; by default all.

    Returns:
        One row per setting: its name, default, values, presets that differ, and text.

    Raises:
        ConfigError: there is no such setting.
    """
    name = name.removeprefix("--").replace("-", "_")
    known = settings_of(RunConfig)
    chosen = [one for one in known.values() if not name or one.name == name or one.name.startswith(f"{name}.")]
    if not chosen:
        raise ConfigError(f"no setting {name!r}{nearest(name, known) or '; `dhr settings` lists them'}")
    rows: list[Mapping[str, Any]] = [
        {
            "name": one.name,
            "default": shown(_default(one.name, one.default)),
            "values": expected(one.hint),
            "presets": _presets(one.name),
            "text": one.text,
        }
        for one in chosen
    ]
    return TableResult(rows, name)


def _default(name: str, default: Any) -> Any:
    group, _, rest = name.partition(".")
    return getattr(PRESETS["default"], rest) if group == "method" else default


def _presets(name: str) -> dict[str, str]:
    """Return the values of the presets, where they differ."""
    group, _, rest = name.partition(".")
    if group != "method" or rest not in {field.name for field in fields(PRESETS["default"])}:
        return {}
    values = {preset: shown(getattr(config, rest)) for preset, config in PRESETS.items()}
    return values if len({*values.values()}) > 1 else {}
