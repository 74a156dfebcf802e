"""Settings as Python arguments: a name, a dictionary of changes, or the record itself."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_args

from dhr.errors import ConfigError
from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig, Kind, MethodConfig

Record = TypeVar("Record")


def method_settings(given: MethodConfig | str | Mapping[str, Any]) -> MethodConfig:
    """Return the settings of the method from settings, the name of a preset, or changes to a preset.

    Args:
        given: changes are ``{"tau": 0.7}`` or ``{"method.tau": 0.7}``, to `default` or to the preset in
             ``{"preset": "paper"}``.

    Raises:
        ConfigError: it is none of these, or a setting is unknown or cannot work.

    >>> method_settings({"preset": "paper", "rounds": 3}).rounds
    3
    >>> method_settings({"preset": "paper", "method.rounds": 3}).rounds
    3
    """
    if isinstance(given, MethodConfig):
        return given
    if isinstance(given, Mapping):
        changes = {**given}
        return changed(_preset(changes.pop("preset", "default")), _own(changes, "method"), "method")
    return _preset(given)


def boundary_settings(given: BoundaryConfig | Kind | Mapping[str, Any]) -> BoundaryConfig:
    """Return the settings of the boundary corrections from settings, the last one's kind, or changes to the defaults.

    Raises:
        ConfigError: it is none of these, or a setting is unknown or cannot work.

    >>> boundary_settings({"kind": "crf", "crf": {"iterations": 5}}).crf.iterations
    5
    """
    if isinstance(given, BoundaryConfig):
        return given
    if isinstance(given, Mapping):
        return changed(BOUNDARY, _own(given, "boundary"), "boundary")
    if isinstance(given, str):
        return replace(BOUNDARY, kind=given)
    kinds = ", ".join(get_args(Kind))
    raise ConfigError(f"boundary must be one of {kinds}, a dictionary, or a dhr.BoundaryConfig; got {given!r}")


def changed(record: Record, changes: Mapping[str, Any], name: str) -> Record:
    """Return a record of settings with other values by name; nested records take dictionaries.

    Raises:
        ConfigError: a setting is unknown, or of another type.
    """
    known = [field.name for field in fields(record)]  # type: ignore[arg-type]
    values = {}
    for key, value in nested(changes).items():
        if key not in known:
            hint = _nearest(key, known) or f"it has {', '.join(known)}"
            raise ConfigError(f"{name} has no setting {key!r}; {hint}")
        old = getattr(record, key)
        inner = is_dataclass(old) and isinstance(value, Mapping)
        values[key] = changed(old, value, f"{name}.{key}") if inner else value
    try:
        return replace(record, **values)  # type: ignore[type-var]
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"{name} cannot be {dict(changes)}: {error}; give numbers as numbers") from error


def nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes with their groups as dictionaries, whether they were given so or with dots.

    >>> nested({"crf": {"iterations": 5}, "crf.bilateral_sxy": 60, "kind": "crf"})
    {'crf': {'iterations': 5, 'bilateral_sxy': 60}, 'kind': 'crf'}
    """
    found = dict[str, Any]()
    for key, value in changes.items():
        group, dot, rest = str(key).partition(".")
        part = {rest: value} if dot else value
        old = found.get(group)
        found[group] = {**old, **part} if isinstance(old, Mapping) and isinstance(part, Mapping) else part
    return found


def _own(changes: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Changes by the names that they have inside their group; outside it they begin with its name."""
    found = nested(changes)
    if isinstance(found.get(group), Mapping):
        found |= nested(found.pop(group))
    return found


def _nearest(name: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {close[0]}?" if close else ""


def _preset(name: Any) -> MethodConfig:
    if not isinstance(name, str) or name not in PRESETS:
        known = ", ".join(PRESETS)
        near = "; ".join(filter(None, (repr(name), _nearest(name, PRESETS))))
        raise ConfigError(f"config must be a dhr.MethodConfig, a dictionary, or one of {known}; got {near}")
    return PRESETS[name]
