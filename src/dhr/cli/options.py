"""The options of a command, read off a public function: its parameters, their types, and its docstring."""

import inspect
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from dhr.api.data import DataFolder
from dhr.api.settings import docstrings, settings_of
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.recipes import RECIPES

_LONGEST = 40  # characters of choices that the help shows beside an option

_NAMES = {"source_format": "from"}  # which Python reserves

HIDDEN = ("progress",)
"""Parameters that a command fills itself."""


@dataclass(frozen=True, eq=False)
class Option:
    """One option."""

    name: str
    """With its dashes; without for a value that stands alone."""
    parameter: str
    """Of the function."""
    key: str
    """Its target: the parameter itself, a part of the data folder, or a setting."""
    hint: Any
    default: Any
    text: str
    required: bool = False
    many: bool = False
    """Whether several values may follow."""
    group: str = ""
    """Of settings: their group."""

    @property
    def flag(self) -> bool:
        """Whether it takes no value."""
        return self.hint is bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it can take, if they are few and have names."""
        union = get_origin(self.hint) in (typing.Union, UnionType)
        kinds = [kind for kind in (get_args(self.hint) if union else [self.hint]) if kind is not NoneType]
        named = all(get_origin(kind) is Literal for kind in kinds)
        return tuple(str(one) for kind in kinds for one in get_args(kind)) if named else ()

    @property
    def value(self) -> str:
        """The word for its value in the help."""
        kinds = [kind for kind in (get_args(self.hint) or (self.hint,)) if kind is not NoneType]
        if self.flag:
            return ""
        if self.choices and len(named := "|".join(self.choices)) <= _LONGEST:
            return named
        if Path in kinds:
            return "DIR" if self.key in _FOLDERS else "FILE" if self.key not in _PATHS else "PATH"
        if get_origin(self.hint) is tuple:
            return f"[{'N' if int in kinds else 'X'},...]"
        return "N" if int in kinds else "X" if float in kinds else "VALUE"

    @property
    def shown(self) -> str:
        """Its form in the help."""
        if not self.name.startswith("--"):
            return self.name.upper()
        name = f"--[no-]{self.name[2:]}" if self.flag and (self.default is True or "." in self.name) else self.name
        value = self.value
        return name if not value else f"{name} {value}{f' [{value} ...]' if self.many else ''}"


_FOLDERS = ("path", "out", "masks", "ground_truth", "images", "features", "plots", "wss.maps", "data", "run")
_PATHS = ()
_SEVERAL = ("sources",)
"""Settings whose values follow the option one after another."""


def options_of(function: Callable[..., Any], positional: Sequence[str] = ()) -> list[Option]:
    """Return all options of a function in the order of its parameters; settings come last in each."""
    hints, texts, found = typing.get_type_hints(function), arguments_of(function), list[Option]()
    for parameter in inspect.signature(function).parameters.values():
        name, hint = parameter.name, hints[parameter.name]
        if name in HIDDEN:
            continue
        kind = next((one for one in get_args(hint) if isinstance(one, type) and is_dataclass(one)), None)
        must = parameter.default is inspect.Parameter.empty and NoneType not in get_args(hint)
        if kind is DataFolder:
            found += _data_options(name, texts[name], must)
        elif kind is not None:
            taken = {option.name for option in found}
            found += [one for one in _setting_options(name, kind, hint) if one.name not in taken]
        else:
            dashes = "" if name in positional else "--"
            default = None if must else parameter.default
            many = any(get_origin(one) is not None and get_origin(one) is not Literal for one in get_args(hint))
            shown = dashes + _NAMES.get(name, name).replace("_", "-")
            found.append(Option(shown, name, name, _plain(hint), default, texts[name], must, many))
    return found


def _data_options(parameter: str, text: str, required: bool) -> list[Option]:
    """Return the options for the data folder and for reading it."""
    hints, texts = typing.get_type_hints(DataFolder), docstrings(DataFolder)
    found = [Option("--data", parameter, "path", Path, None, text, required)]
    for field in fields(DataFolder)[1:]:
        name = f"--{field.name.replace('_', '-')}"
        found.append(Option(name, parameter, field.name, _plain(hints[field.name]), field.default, texts[field.name]))
    return found


def _setting_options(parameter: str, kind: type, hint: Any) -> list[Option]:
    """Return options for a file of settings, a preset, a recipe, and each setting of a config dataclass."""
    found = []
    if Path in get_args(hint):
        text = "YAML file of settings; options override it, and its paths start at its folder"
        found.append(Option("--config", parameter, "config", Path, None, text))
    if kind is RunConfig:
        names = ", ".join(PRESETS)
        found.append(Option("--preset", parameter, "preset", str, "default", f"method: {names}"))
        text = f"networks, sizes, lengths: {', '.join(RECIPES)}"
        found.append(Option("--recipe", parameter, "recipe", str, "default", text))
    for setting in settings_of(kind).values():
        group = setting.name.rpartition(".")[0]
        name = f"--{setting.name.replace('_', '-')}"
        default = None if setting.default is MISSING else setting.default
        many = setting.name in _SEVERAL
        hint = get_args(setting.hint)[0] if many else setting.hint
        found.append(
            Option(name, parameter, setting.name, hint, default, setting.text, many=many, group=group or parameter)
        )
    return found


def _plain(hint: Any) -> Any:
    """Return a parameter's type on the command line: a path for ``Path | str``, the entry of a sequence."""
    kinds = get_args(hint)
    if get_origin(hint) not in (typing.Union, UnionType):
        return hint
    return Path if Path in kinds else hint


def arguments_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return the text of each parameter, from the section ``Args`` of the docstring."""
    text = inspect.cleandoc(function.__doc__ or "")
    section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
    found = re.findall(r"^    (\w+): ((?:.|\n        )*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in found}


def description_of(function: Callable[..., Any]) -> str:
    """Return the docstring without its sections."""
    return re.split(r"^(?:Args|Returns|Raises):$", inspect.cleandoc(function.__doc__ or ""), flags=re.MULTILINE)[0]
