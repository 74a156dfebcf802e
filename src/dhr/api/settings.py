"""Settings by name, and a config made of a preset, a recipe, a YAML file and single values."""

import ast
import difflib
import functools
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

from dhr.api.renamed import refuse_old_names
from dhr.api.settings_file import OWN, beside, read_settings
from dhr.api.values import fitted
from dhr.errors import ConfigError
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.models.config import WssConfig
from dhr.recipes import RECIPES, recipe

Config = RunConfig | str | Path | Mapping[str, Any]
"""All settings of a run: the name of a recipe or preset, a YAML file, a mapping of names to values, or the
dataclass."""


@dataclass(frozen=True)
class Setting:
    """One setting."""

    name: str
    """With its groups: ``method.tau``."""
    hint: Any
    """The type of its values."""
    default: Any
    text: str
    """Its docstring."""


@functools.cache
def settings_of(kind: type) -> Mapping[str, Setting]:
    """Return all settings of a config dataclass by name, those of its groups included."""
    return {one.name: one for one in _walk(kind, "")}


def _walk(kind: Any, prefix: str) -> Iterator[Setting]:
    hints, texts = typing.get_type_hints(kind), docstrings(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from _walk(hints[field.name], f"{prefix}{field.name}.")
        else:
            default = field.default if field.default_factory is MISSING else field.default_factory()
            yield Setting(f"{prefix}{field.name}", hints[field.name], default, texts.get(field.name, ""))


@functools.cache
def docstrings(kind: type) -> Mapping[str, str]:
    """Return the docstring of each attribute of a class and of those that it derives from, in one line."""
    body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]).body
    bases = (base for base in kind.__bases__ if is_dataclass(base))
    found = {name: text for base in bases for name, text in docstrings(base).items()}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[cast(ast.Name, field.target).id] = " ".join(str(text.value.value).split())
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is most like ``name``; empty if all are too different.

    >>> nearest("method.tua", ["method.tau", "seed"])
    '; did you mean method.tau?'
    """
    known = [*known]
    last, own = {one.rpartition(".")[2].lstrip("-"): one for one in known}, name.rpartition(".")[2].lstrip("-")
    found = [last[own]] if own in last else difflib.get_close_matches(name, known, 1, 0.7 if len(name) > 4 else 0.6)
    found = found or [last[one] for one in difflib.get_close_matches(own, last, 1, 0.7)]
    return f"; did you mean {found[0]}?" if found else ""


def flat(kind: type, given: Mapping[str, Any], place: str, ignored: Iterable[str] = ()) -> dict[str, Any]:
    """Return settings, nested or with dots, by their whole names, each as its type asks.

    Args:
        kind: the config dataclass.
        given: the settings.
        place: where they were given, for messages.
        ignored: groups that are of other commands.

    Raises:
        ConfigError: a setting is unknown, or its value does not fit.
    """
    refuse_old_names(given, place)
    known, found = settings_of(kind), dict[str, Any]()
    groups = {name.rpartition(".")[0] for name in known} | {name.partition(".")[0] for name in known if "." in name}

    def add(name: str, value: Any) -> None:
        if name in groups - {""}:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{place}: {name} must hold settings, `name: value`; got {str(value)[:80]!r}")
            for key, one in value.items():
                add(f"{name}.{key}", one)
        elif name not in known:
            raise ConfigError(f"{place}: no setting {name!r}{nearest(name, known) or _help()}")
        elif name in found:
            raise ConfigError(f"{place}: {name} is given twice; give it once")
        else:
            try:
                found[name] = fitted(value, known[name].hint)
            except ValueError as error:
                raise ConfigError(f"{place}: {name} must be {error}; got {str(value)[:80]!r}") from error
            if name == OWN:
                found[name] = {kind: flat(WssConfig, own, f"{place}: {OWN}.{kind}") for kind, own in value.items()}

    for name, value in given.items():
        if not isinstance(name, str):
            raise ConfigError(f"{place}: the name {str(name)[:80]!r} of a setting is not text; put it in quotes")
        if name.partition(".")[0] not in ignored:
            add(name, value)
    return found


def _help() -> str:
    return "; `dhr settings` lists them"


def changed(config: Any, given: Mapping[str, Any]) -> Any:
    """Return a copy of a config dataclass with other values, by whole name.

    Raises:
        ConfigError: they do not work together.
    """
    groups: dict[str, dict[str, Any]] = {}
    own = {}
    for name, value in given.items():
        group, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(group, {})[rest] = value
        else:
            own[name] = value
    return replace(config, **own, **{name: changed(getattr(config, name), part) for name, part in groups.items()})


def run_settings(config: Config) -> tuple[RunConfig, str]:
    """Return all settings of a run, and the name of the preset that they start from.

    A mapping may name a ``preset``, a ``recipe``, and a YAML file as ``config``, which may name a preset and a recipe
    as well. The other values of the mapping override the file. The file overrides the settings stored in a trained
    ``classifier.file``. These override the recipe, and the recipe overrides the preset.

    Raises:
        ConfigError: a preset, recipe, file or setting that cannot be used.
    """
    if isinstance(config, RunConfig):
        return config, "default"
    given = as_mapping(config)
    file = given.pop("config", None)
    read = {} if file is None else read_settings(Path(file))
    preset, chosen = (_chosen(kind, names, given, read) for kind, names in (("preset", PRESETS), ("recipe", RECIPES)))
    values = {} if file is None else beside(flat(RunConfig, read, f"--config: {file}"), Path(file).parent)
    values |= flat(RunConfig, given, "config")
    base = replace(RunConfig(), method=PRESETS[preset])
    lower = flat(RunConfig, recipe(chosen), f"--recipe {chosen}") | _trained_with(values.get("classifier.file"))
    return changed(base, lower | values), preset


def as_mapping(config: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a mapping, which may name a ``preset``, a ``recipe``, and a YAML file as ``config``.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(config, str | Path):
        named = {"preset": PRESETS, "recipe": RECIPES}
        kind = next((kind for kind, names in named.items() if config in names), None)
        config = {"config": _file(config)} if kind is None else {kind: config}
    if not isinstance(config, Mapping):
        raise ConfigError(
            "config must be the name of a recipe or preset, a YAML file, a mapping of settings, or a RunConfig; got "
            f"{config!r}"
        )
    return dict(config)


def _chosen(kind: str, names: Iterable[str], given: dict[str, Any], read: dict[str, Any]) -> str:
    """Take the name of a preset or recipe out of the given settings, or else out of those of a file."""
    mine, stored = given.pop(kind, None), read.pop(kind, "default")
    name = mine or stored
    if not isinstance(name, str) or name not in names:
        raise ConfigError(f"--{kind} must be one of {', '.join(names)}; got {name!r}{nearest(str(name), names)}")
    return name


def _trained_with(classifier: Path | None) -> dict[str, Any]:
    """Return the settings stored in a trained classifier, which others override."""
    if classifier is None or not classifier.is_file():  # a finished run works without it; other runs report it
        return {}
    from dhr.sources.weights_file import stored_settings

    return flat(RunConfig, stored_settings(classifier), f"--classifier.file: {classifier}")


def part_settings(kind: type, config: Any, ignored: Iterable[str] = ()) -> Any:
    """Return the settings of a command with settings of its own; None stands for the defaults.

    Args:
        kind: the config dataclass.
        config: an instance of it, a YAML file, a mapping, or None.
        ignored: groups that a file may hold for other commands.

    Raises:
        ConfigError: a file or setting that cannot be used.
    """
    if isinstance(config, kind):
        return config
    if isinstance(config, str | Path):
        config = {"config": _file(config)}
    if config is not None and not isinstance(config, Mapping):
        raise ConfigError(f"config must be a {kind.__name__}, a YAML file or a mapping of settings; got {config!r}")
    given = dict(config or {})
    file, values = given.pop("config", None), dict[str, Any]()
    if file is not None:
        values = flat(kind, read_settings(Path(file)), f"--config: {file}", ignored)
        values = beside(values, Path(file).parent)
    return kind(**_nested(kind, values | flat(kind, given, "config")))


def _nested(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a config dataclass, with its groups built."""
    hints, made = typing.get_type_hints(kind), dict[str, Any]()
    for field in fields(kind):
        own = {name: value for name, value in values.items() if name.partition(".")[0] == field.name}
        if field.name in own:
            made[field.name] = own[field.name]
        elif own:
            rest = {name.partition(".")[2]: value for name, value in own.items()}
            made[field.name] = hints[field.name](**_nested(hints[field.name], rest))
    return made


def _file(config: str | Path) -> Path:
    path, names = Path(config), dict.fromkeys((*RECIPES, *PRESETS))
    if path.suffix.lower() not in (".yaml", ".yml") and not path.exists():
        raise ConfigError(
            f"config must be a recipe or preset ({', '.join(names)}) or a YAML file; got "
            f"{str(config)!r}{nearest(str(config), names)}"
        )
    return path
