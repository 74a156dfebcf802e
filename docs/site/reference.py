"""Writes the pages of the reference from the code, in the Markdown of MyST, so that they cannot be out of date."""

import inspect
import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args

import dhr
from dhr import errors
from dhr.api.explain import settings
from dhr.api.settings import Setting, settings_of
from dhr.api.values import expected, shown
from dhr.cli.options import Option, description_of, options_of
from dhr.cli.table import COMMANDS, Command
from dhr.job.settings import RunConfig

_DOCS = Path(__file__).parents[1]
_RUN = frozenset(settings_of(RunConfig))
_EVERYWHERE = (
    ("--help", "Shows the help of the command. `--help-all` shows all of its settings, too."),
    ("--quiet, -q", "Prints only errors and the last line."),
    ("--verbose, -v", "Prints more: decisions on the way."),
)
_CODES = (
    ("0", "all done"),
    ("1", "done, but something was left out, which is named"),
    ("2", "nothing done; one line gives the reason"),
    ("130, 143, 129", "interrupted (Ctrl-C), ended by SIGTERM, ended by SIGHUP"),
)


def commands() -> str:
    """Return all commands, with their options."""
    lines = ["Every command also has these options:", ""]
    for names, text in _EVERYWHERE:
        lines += [f"- `{names}`: {text}"]
    lines += ["", "| exit code | meaning |", "| --- | --- |", *(f"| {code} | {text} |" for code, text in _CODES), ""]
    return "\n".join([*lines, *(line for command in COMMANDS.values() for line in _command(command))])


def _command(command: Command) -> Iterator[str]:
    options = options_of(command.function, command.positional)
    own = [option for option in options if not option.group]
    shared = [option for option in options if option.group and option.key in _RUN]
    others = [option for option in options if option.group and option.key not in _RUN]
    needed = " ".join(option.shown for option in own if option.required)
    yield from (f"## dhr {command.name}", "", f"```{{program}} dhr {command.name}", "```", "")
    yield from (*_paragraphs(description_of(command.function)), "")
    yield from ("```bash", *(command.examples or (f"dhr {command.name} {needed}".strip(),)), "```", "")
    for option in (*own, *others):
        yield from _option(option)
    if shared:
        yield from (_settings_line(command, shared), "")


def _option(option: Option) -> Iterator[str]:
    default = "" if option.required or option.default in (None, (), {}, "", False) else shown(option.default)
    told = f" Default: `{default}`." if default else ""
    values = f" One of {', '.join(f'`{one}`' for one in option.choices)}." if option.choices else ""
    needed = " Required." if option.required else ""
    yield from (f"````{{option}} {option.shown}", f"{_sentence(option.text)}{values}{told}{needed}", "````", "")


def _settings_line(command: Command, options: Sequence[Option]) -> str:
    groups = dict.fromkeys(_group(option.key) for option in options)
    links = ", ".join(f"[{group or 'single'}](settings.md#{anchor(group)})" for group in groups)
    often = [key for key in command.settings if key in _RUN]
    text = f"It also takes settings of a run, as options such as `{options[0].name}`: {links}."
    return f"{text} People often change {_listed([f'`{key}`' for key in often])}." if often else text


def run_settings() -> str:
    """Return all settings of a run by group, with type, default and the values of the presets."""
    lines, group = list[str](), None
    rows = sorted(settings().rows(), key=lambda row: _group(row["name"]) != "")  # single settings first
    known = settings_of(RunConfig)
    for row in rows:
        if _group(row["name"]) != group:
            group = _group(row["name"])
            lines += [f"## {_heading(group)}", "", *_group_text(group)]
        lines += [*_setting(row, known[row["name"]]), ""]
    return "\n".join(lines)


def _setting(row: dict[str, Any], setting: Setting) -> Iterator[str]:
    values, default = expected(setting.hint), row["default"]
    yield from (f"````{{confval}} {setting.name}", _sentence(setting.text), "")
    told = f" Default: `` {default} ``." if default else ""
    if row["presets"]:
        told = f" Presets: {', '.join(f'`{name}` {value}' for name, value in row['presets'].items())}."
    yield from (f"*{values[:1].upper()}{values[1:]}.*{told}", "````")


def _group_text(group: str) -> list[str]:
    hints = typing.get_type_hints(RunConfig)
    kind: Any = RunConfig
    for part in filter(None, group.split(".")):
        kind = hints[part]
        hints = typing.get_type_hints(kind)
    return [] if kind is RunConfig else [*_paragraphs(inspect.cleandoc(kind.__doc__ or "")), ""]


def python() -> str:
    """Return directives that document all public names, their results, and the errors, with their types."""
    names = [name for name in dhr.__all__ if name != "PRESETS"]
    functions = [name for name in names if inspect.isfunction(getattr(dhr, name))]
    arrays = [name for name in functions if getattr(dhr, name).__module__.startswith("dhr.arrays")]
    parts = {
        "Functions for photographs": [f"autofunction:: dhr.{name}" for name in functions if name not in arrays],
        "Functions for arrays": [f"autofunction:: dhr.{name}" for name in arrays],
        "Settings and data": [
            *(f"autoclass:: dhr.{name}" for name in names if is_dataclass(getattr(dhr, name))),
            "autodata:: dhr.PRESETS\n   :no-value:",
        ],
        "Settings of single functions": [f"autoclass:: {_path(one)}" for one in _own_settings(functions)],
        "Results": [f"autoclass:: {_path(one)}" for one in results(functions)],
        "Errors": [f"autoexception:: dhr.errors.{one.__name__}" for one in _errors()],
    }
    return "\n".join(
        line
        for title, directives in parts.items()
        for line in (f"## {title}", "", "```{eval-rst}", *(f".. {one}\n" for one in directives), "```", "")
    )


def results(functions: Iterable[str]) -> list[type]:
    """Return the classes of the project that public functions return, with those that they derive from."""
    found = dict[type, None]()
    for name in functions:
        returned = typing.get_type_hints(getattr(dhr, name))["return"]
        for kind in (returned, *get_args(returned)):
            if inspect.isclass(kind) and kind.__module__.startswith("dhr"):
                found |= dict.fromkeys(one for one in kind.__mro__ if one.__module__.startswith("dhr"))
    return _private(found)


def _own_settings(functions: Sequence[str]) -> list[type]:
    """Return the dataclasses that public functions take, without those that are public or results."""
    hints = [hint for name in functions for hint in typing.get_type_hints(getattr(dhr, name)).values()]
    kinds = (kind for hint in hints for kind in (hint, *get_args(hint)) if inspect.isclass(kind))
    found = {kind for kind in kinds if is_dataclass(kind) and kind.__module__.startswith("dhr")}
    return _private(found - {*results(functions)})


def _private(kinds: Iterable[type]) -> list[type]:
    public = {getattr(dhr, name) for name in dhr.__all__ if inspect.isclass(getattr(dhr, name))}
    return sorted(set(kinds) - public, key=lambda one: one.__name__)


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _errors() -> list[type]:
    found = (one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.DhrError))
    return sorted(found, key=lambda one: (len(one.__mro__), one.__name__))


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs in Markdown; indented ones keep their lines."""
    for paragraph in text.strip().split("\n\n"):
        block = paragraph.startswith(" ")
        yield from ("```text", inspect.cleandoc(paragraph), "```", "") if block else (_code(paragraph), "")


def _sentence(text: str) -> str:
    text = _code(" ".join(text.split()))
    text = text[:1].upper() + text[1:] if text[1:2].islower() else text
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _code(text: str) -> str:
    """Change the code of a docstring (``x``) into that of Markdown, keep ``<`` and ``*`` of plain text, link pages."""
    parts = re.split(r"(`[^`]+`)", text.replace("``", "`"))
    plain = [re.sub(r"([*_<\[])", r"\\\1", part) if not part.startswith("`") else part for part in parts]
    return re.sub(r"docs/(\w+)\.md", lambda found: link(found, "[](../{0}.md)"), "".join(plain))


def link(found: re.Match[str], form: str) -> str:
    """Return a link to a page that a docstring names, in the given form, if there is such a page."""
    return form.format(found[1]) if (_DOCS / f"{found[1]}.md").is_file() else found[0]


def _group(name: str) -> str:
    return name.rpartition(".")[0]


def _heading(group: str) -> str:
    return group or "Single settings"


def anchor(group: str) -> str:
    """Return the anchor that the heading of a group of settings has."""
    return re.sub(r"[^\w\- ]", "", _heading(group).lower()).replace(" ", "-")


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
