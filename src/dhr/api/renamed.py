"""Old names of settings, each with the new one or what to do without it."""

from collections.abc import Mapping
from typing import Any

from dhr.errors import ConfigError

GROUPS = {"train": "classifier", "joint": "student_training"}
"""Groups of settings that have another name."""
PATHS = {
    "classifier": "classifier.file",
    "boundary.seed": "boundary.base",
    "method.background": "method.background_level",
    "method.background_threshold": "method.background_level",
}
"""Single settings that have another name."""
GONE = {
    **dict.fromkeys(
        (
            *("method.strength", "method.seed_margin", "method.overwrite", "method.background_power"),
            *("method.survey_sharpness", "method.survey_shrinkage", "boundary.crf.sharpness"),
        ),
        "other values gained nothing",
    ),
    **dict.fromkeys(
        ("method.iterations", "method.pooling", "method.stretch", "method.seed_background"),
        "it is part of the preset released",
    ),
    "method.uss_weight_grouped": "method.uss_weight holds for all classes",
}
"""Settings that were removed, and why."""


def refuse_old_names(settings: Mapping[str, Any], place: str) -> None:
    """Refuse settings, nested or with dots, that have an old name or were removed.

    Args:
        settings: by name.
        place: where they were given, for the message.

    Raises:
        ConfigError: one was; the message holds the new name, or says that it is gone.

    >>> refuse_old_names({"joint": {"steps": 5}}, "--config: a.yaml")
    Traceback (most recent call last):
        ...
    dhr.errors.ConfigError: --config: a.yaml: the setting joint is now called student_training; rename it
    >>> refuse_old_names({"boundary": {"seed": "crf"}}, "--config: a.yaml")
    Traceback (most recent call last):
        ...
    dhr.errors.ConfigError: --config: a.yaml: the setting boundary.seed is now called boundary.base; rename it
    """
    for name, value in settings.items():
        _refuse(name, isinstance(value, Mapping), f"{place}: the setting ", "")
        for inner in _flat(value, name):
            _refuse(inner, False, f"{place}: the setting ", "")


def refuse_old_options(arguments: list[str]) -> None:
    """Refuse options of the command line that have an old name or were removed.

    Raises:
        ConfigError: one was; the message holds the new name, or says that it is gone.
    """
    for argument in arguments:
        name, _, _ = argument.partition("=")
        if name.startswith("--"):
            _refuse(name[2:], "." not in name and name[2:] in GROUPS, "", "--")


def _flat(value: Any, name: str) -> list[str]:
    """Names with dots of the settings inside a group."""
    if not isinstance(value, Mapping):
        return []
    return [path for key, inner in value.items() for path in (f"{name}.{key}", *_flat(inner, f"{name}.{key}"))]


def _refuse(name: str, is_group: bool, before: str, dashes: str) -> None:
    group, dot, rest = name.partition(".")
    new = None if is_group else PATHS.get(name)
    if group in GROUPS and (dot or not dashes):
        new = f"{GROUPS[group]}{dot}{rest}"
    if new is not None:
        raise ConfigError(f"{before}{dashes}{name} is now called {dashes}{new}; rename it")
    if name in GONE:
        raise ConfigError(f"{before}{dashes}{name} was removed: {GONE[name]}; leave it out")
