"""Old names of settings, options and commands, each with its new name or the remedy."""

from collections.abc import Mapping
from typing import Any

from dhr.errors import ConfigError

GROUPS = {"train": "classifier", "joint": "student_training"}
"""Groups of settings that have another name."""
PATHS = {
    "classifier": "classifier.file",
    "boundary.seed": "boundary.base",
    "head.pieces": "head.crops",
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
    **dict.fromkeys(
        ("classifier.freeze_norm", "student_training.freeze_norm"), "pretrained statistics are always kept"
    ),
    **dict.fromkeys(("student_training.weighting", "student_training.doubtful"), "all pixels that are not void count"),
    "student_training.base": "the base masks are the given masks, if there are any",
    "student_training.keep": "the last two checkpoints are kept",
    "uss.upsample": "it gained nothing",
    "method.uss_weight_grouped": "method.uss_weight holds for all classes",
}
"""Settings that were removed, and why."""
OPTIONS = {"--pred": "--masks", "--truth": "--ground-truth"}
"""Options of the command line that have another name."""
COMMANDS = {"uss": "train-head"}
"""Commands that have another name."""


def refuse_old_names(settings: Mapping[str, Any], place: str) -> None:
    """Refuse settings, nested or with dots, that have an old name or were removed.

    Args:
        settings: by name.
        place: where they were given, for the message.

    Raises:
        ConfigError: a setting was renamed or removed; the message gives the new name, or the reason.

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
        for inner in (str(name), *_flat(value, str(name))):
            is_group = inner == name and isinstance(value, Mapping) and inner in PATHS
            if (new := None if is_group else _new_name(inner)) is not None:
                raise ConfigError(f"{place}: the setting {inner} is now called {new}; rename it")
            if inner in GONE:
                raise ConfigError(f"{place}: the setting {inner} was removed: {GONE[inner]}; leave it out")


def old_option(name: str) -> str | None:
    """Return the new name of an option, or why it was removed, in a sentence; None if ``name`` is not an old option.

    >>> old_option("--joint.new_lr"), old_option("--seed")
    ('--joint.new_lr is now called --student-training.new-lr; rename it', None)
    """
    setting = name.removeprefix("--").replace("-", "_")
    new = _new_name(setting)
    option = f"--{new.replace('_', '-')}" if new else OPTIONS.get(name)
    if option is not None:
        return f"{name} is now called {option}; rename it"
    return f"{name} was removed: {GONE[setting]}; leave it out" if setting in GONE else None


def _new_name(name: str) -> str | None:
    group, dot, rest = name.partition(".")
    return f"{GROUPS[group]}{dot}{rest}" if group in GROUPS else PATHS.get(name)


def _flat(value: Any, name: str) -> list[str]:
    """Return names with dots of the settings inside a group."""
    if not isinstance(value, Mapping):
        return []
    return [path for key, inner in value.items() for path in (f"{name}.{key}", *_flat(inner, f"{name}.{key}"))]
