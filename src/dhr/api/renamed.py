"""Old names of settings, options and commands, each with the new one."""

from collections.abc import Mapping
from typing import Any

from dhr.errors import ConfigError

GROUPS = {"train": "classifier", "joint": "student_training"}
"""Groups of settings that have another name."""
PATHS = {"classifier": "classifier.file"}
"""Single settings that are now part of a group of their old name."""
OPTIONS = {"--pred": "--masks", "--datumaro_format": "--datumaro-format"}
"""Options of the command line."""
COMMANDS = {"uss": "train-head"}
"""Commands."""


def new_name(name: str) -> str | None:
    """The new name of a setting, if ``name`` is an old one.

    >>> new_name("train.epochs"), new_name("classifier"), new_name("seed")
    ('classifier.epochs', 'classifier.file', None)
    """
    group, dot, rest = name.partition(".")
    return f"{GROUPS[group]}{dot}{rest}" if group in GROUPS else PATHS.get(name)


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
        new = None if name in PATHS and isinstance(value, Mapping) else new_name(str(name))
        if new is not None:
            raise ConfigError(f"{place}: the setting {name} is now called {new}; rename it")


def new_option(name: str) -> str | None:
    """The new name of an option, if ``name`` is an old one.

    >>> new_option("--joint.new_lr"), new_option("--pred")
    ('--student-training.new-lr', '--masks')
    """
    new = new_name(name.removeprefix("--"))
    return f"--{new.replace('_', '-')}" if new else OPTIONS.get(name)
