"""The arguments of a command: options to the arguments of its function."""

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args

from dhr.api.data import DataFolder
from dhr.api.renamed import old_option
from dhr.api.settings import nearest
from dhr.api.values import expected, from_text
from dhr.cli.options import Option
from dhr.errors import ConfigError
from dhr.words import printable

Values = Mapping[Option, Any]


def parsed(command: str, options: Sequence[Option], arguments: Sequence[str]) -> dict[Option, Any]:
    """Read the arguments of a command.

    Raises:
        ConfigError: an option is unknown or missing, or a value does not fit.
    """
    known = {option.name: option for option in options}
    off = {f"--no-{option.name[2:]}": option for option in options if option.flag}
    places = [option for option in options if not option.name.startswith("--")]
    found, rest = dict[Option, Any](), list(arguments)
    while rest:
        token = rest.pop(0)
        name, equals, text = token.partition("=")
        if not token.startswith("--"):
            if not places:
                raise ConfigError(f"{token!r} follows no option; `dhr {command} --help` shows the options")
            option = places.pop(0)
            found[option] = _value(option, token)
        elif name in off:
            found[off[name]] = _switched(name, equals, rest, False)
        elif name not in known:
            raise ConfigError(_unknown(command, name, [*known, *off]))
        elif known[name].flag:
            found[known[name]] = _switched(name, equals, rest, True)
        else:
            option = known[name]
            texts = [text] if equals else _texts(option, rest)
            if option.key == "config" and option in found:
                raise ConfigError("--config can be given once; join the files")
            values = [_value(option, one) for one in texts]
            found[option] = [*found.get(option, []), *values] if option.many else values[0]
    missing = [option.name for option in options if option.required and option not in found]
    if missing:
        one = "is" if len(missing) == 1 else "are"
        raise ConfigError(f"required: {', '.join(missing)} {one} missing; see `dhr {command} --help`")
    return found


def _texts(option: Option, rest: list[str]) -> list[str]:
    """Take the values that follow an option from ``rest``."""
    count = 1
    if option.many:
        count = next((number for number, one in enumerate(rest) if one.startswith("--")), len(rest))
    taken, rest[:] = rest[:count], rest[count:]
    if not taken or (taken[0].startswith("--") and not option.many):
        raise ConfigError(f"{option.name} needs a value, {expected(option.hint)}")
    return taken


def _value(option: Option, text: str) -> Any:
    try:
        return from_text(text, option.hint)
    except ValueError as error:
        near = nearest(text, option.choices) if option.choices else ""
        raise ConfigError(f"{option.name} must be {error}; got {text[:80]!r}{near}") from error


def _switched(name: str, equals: str, rest: list[str], on: bool) -> bool:
    following = rest[0].lower() if rest else ""
    if equals or following in ("true", "false"):
        other = f"--{name[5:]}" if name.startswith("--no-") else f"--no-{name[2:]}"
        raise ConfigError(f"{name} takes no value: write {name} or {other}")
    return on


def _unknown(command: str, name: str, known: Sequence[str]) -> str:
    dashed = name.replace("_", "-")
    if (old := old_option(name)) is not None:
        return old
    if dashed in known:
        return f"{name} is now called {dashed}; rename it"
    near = nearest(dashed, [*known, "--help", "--help-all", "--quiet", "--verbose"])
    return f"no option {printable(name)}{near or f'; `dhr {command} --help` shows the options'}"


def arguments_for(function: Callable[..., Any], values: Values) -> dict[str, Any]:
    """Return the arguments of a function: the data folder and settings put together, all others as they are.

    Raises:
        ConfigError: an option needs another one.
    """
    made = dict[str, Any]()
    hints = typing.get_type_hints(function)
    for name, hint in hints.items():
        given = {option.key: value for option, value in values.items() if option.parameter == name}
        kind = next((one for one in get_args(hint) if is_dataclass(one)), None)
        if kind is DataFolder:
            if given and "path" not in given:
                first = next(option.name for option in values if option.parameter == name)
                raise ConfigError(f"{first} is about a data set; give --data DIR")
            if given or name in _required(function):
                made[name] = DataFolder(**given) if given else None
        elif kind is not None and given:
            made[name] = given if Path in get_args(hint) else typing.cast(Any, kind)(**given)
        elif given:
            made[name] = given[name]
    return made


def _required(function: Callable[..., Any]) -> set[str]:
    import inspect

    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.default is inspect.Parameter.empty}
