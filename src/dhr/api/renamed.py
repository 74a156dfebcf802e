"""Old names of settings, each with the new one."""

from collections.abc import Mapping
from typing import Any

from dhr.errors import ConfigError

GROUPS = {"train": "classifier", "joint": "student_training"}
"""Groups of settings that have another name."""
PATHS = {"classifier": "classifier.file"}
"""Single settings that are now part of a group of their old name."""


def refuse_old_names(settings: Mapping[str, Any], place: str) -> None:
    """Refuse settings, nested or with dots, that have an old name.

    Args:
        place: where they were given, for the message.

    Raises:
        ConfigError: one has; the message holds the new name.

    >>> refuse_old_names({"joint": {"steps": 5}}, "--config: a.yaml")
    Traceback (most recent call last):
        ...
    dhr.errors.ConfigError: --config: a.yaml: the setting joint is now called student_training; rename it
    """
    for name, value in settings.items():
        group, dot, rest = name.partition(".")
        new = None if isinstance(value, Mapping) else PATHS.get(name)
        if group in GROUPS:
            new = f"{GROUPS[group]}{dot}{rest}"
        if new is not None:
            raise ConfigError(f"{place}: the setting {name} is now called {new}; rename it")


def refuse_old_options(arguments: list[str]) -> None:
    """Refuse options of the command line that have an old name.

    Raises:
        ConfigError: one has; the message holds the new name.
    """
    for argument in arguments:
        name, _, _ = argument.partition("=")
        group, dot, rest = name.removeprefix("--").partition(".")
        new = PATHS.get(group) if not dot else None
        if group in GROUPS and dot:
            new = f"{GROUPS[group]}.{rest}"
        if name.startswith("--") and new is not None:
            raise ConfigError(f"{name} is now called --{new}; rename it")
