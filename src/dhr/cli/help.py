"""Help: the manual, a command's options (the settings that people change, or all), and explanations of settings."""

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dhr.api.result import TableResult
from dhr.api.values import shown
from dhr.cli.options import Option, description_of, options_of
from dhr.cli.table import COMMANDS, Command
from dhr.cli.terminal import Terminal

_OURS = {
    "--help": "show this help",
    "--help-all": "show all settings, too",
    "-q, --quiet": "print only errors and the last line",
    "-v, --verbose": "print more: decisions on the way",
}
_CODES = """
exit codes: 0 all done; 1 done, but something was left out, which is named; 2 nothing done, one line gives the reason;
130 interrupted, 143 ended by SIGTERM, 129 by SIGHUP.
"""


def width() -> int:
    """Characters of a line of help: of the terminal, at most 80."""
    return max(40, min(80, shutil.get_terminal_size((80, 24)).columns))


def manual() -> str:
    """Return the text that ``dhr`` alone prints."""
    wide = max(map(len, COMMANDS))
    lines = [_wrapped(f"dhr {name:<{wide}}", command.line, wide + 8) for name, command in COMMANDS.items()]
    return "\n".join(
        [
            *textwrap.wrap("Image tags in, pixel masks out.", width()),
            "",
            *lines,
            "",
            *textwrap.wrap("`dhr COMMAND --help` explains a command, `dhr settings` all settings.", width()),
        ]
    )


def help_of(command: Command, whole: bool = False) -> str:
    """Return the help of a command.

    Args:
        command: the command.
        whole: whether all settings are shown, in groups, with their whole texts.
    """
    options = options_of(command.function, command.positional)
    own = [option for option in options if not _is_setting(command, option)]
    settings = [option for option in options if _is_setting(command, option)]
    lines = [_usage(command, options), "", *_reflowed(description_of(command.function)), "", "options:"]
    lines += [_wrapped(f"  {one.shown}", _text(one, whole or not settings), 24) for one in own]
    lines += [_wrapped(f"  {name}", text, 24) for name, text in _OURS.items() if settings or name != "--help-all"]
    if settings and whole:
        lines += _grouped(settings)
    elif settings:
        by_key = {option.key: option for option in settings}
        chosen = [replace(by_key[key], text=text) for key, text in command.settings.items()]
        lines += ["", f"settings that people change ({len(settings)} with --help-all):"]
        lines += [_wrapped(f"  {one.shown}", _text(one, True), 34) for one in chosen]
    lines += [""] + [f"  {example}" for example in command.examples] if command.examples else []
    if whole or not settings:
        lines += ["", *textwrap.wrap(" ".join(_CODES.split()), width())]
    return "\n".join(lines)


def _is_setting(command: Command, option: Option) -> bool:
    return bool(command.settings and option.group)


def _usage(command: Command, options: Sequence[Option]) -> str:
    needed = " ".join(option.shown for option in options if option.required)
    places = " ".join(f"[{one.shown}]" for one in options if not one.name.startswith("--") and not one.required)
    words = ("usage: dhr", command.name, places, needed, "[options]")
    return _wrapped("", " ".join(filter(None, words)), 0)


def _grouped(settings: Sequence[Option]) -> Iterator[str]:
    groups = dict.fromkeys(option.group for option in settings)
    for group in sorted(groups, key=lambda name: "." in name):
        yield from ("", f"{group}:")
        for option in settings:
            if option.group == group:
                yield _wrapped(f"  {option.shown}", _text(option, True), 8, below=True)


def _text(option: Option, whole: bool) -> str:
    """Return the text of an option and its default."""
    text = option.text if whole else _first(option.text)
    text = text[:1].lower() + text[1:] if text[1:2].islower() else text
    default = shown(option.default).strip("[]")
    told = option.required or option.default in (None, (), {}, "", False) or option.default == "auto"
    return text.rstrip(".") if told or len(default) > 40 else f"{text.rstrip('.')} [{default}]"


def _first(text: str) -> str:
    """Return the first part of a text."""
    return re.split(r"[.;] ", text)[0]


def _wrapped(head: str, text: str, indent: int, below: bool = False) -> str:
    """Put an indented text beside a head; below it if the head is too long, or if ``below``."""
    space = " " * indent
    if below or (len(head) > indent - 2 and head):
        one = f"{head}  {text}"
        if not below and len(one) <= width():
            return one
        lines = textwrap.wrap(text, width() - indent, break_on_hyphens=False)
        return "\n".join([head, *(space + line for line in lines)])
    lines = textwrap.wrap(text, width() - indent, break_on_hyphens=False) or [""]
    return "\n".join([f"{head:<{indent}}{lines[0]}".rstrip(), *(space + line for line in lines[1:])])


def _reflowed(text: str) -> Iterator[str]:
    """Paragraphs in the width of the terminal; indented ones keep their lines."""
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ""
        if paragraph.startswith(" "):
            for line in paragraph.splitlines():
                head, _, rest = line.strip().partition("  ")
                yield _wrapped(f"  {head}", rest.strip(), 16) if rest else line
        else:
            yield from textwrap.wrap(" ".join(paragraph.split()), width(), break_on_hyphens=False)


def show_settings(console: Terminal, result: TableResult) -> None:
    """Print explanations of settings."""
    rows = result.rows()
    if not result.text:
        _show_groups(console, rows)
        return
    for row in rows:
        text = row["text"] if len(rows) > 1 else f"{row['text']} Values: {row['values']}."
        console.print(
            _wrapped(f"{row['name']} [{row['default'].strip('[]')}]", text, 4, below=True),
            markup=False,
            highlight=False,
        )
        if row["presets"]:
            values = ", ".join(f"{preset} {value}" for preset, value in row["presets"].items())
            console.print(f"    presets: {values}", markup=False, highlight=False, soft_wrap=True)


def _show_groups(console: Terminal, rows: Sequence[dict[str, str]]) -> None:
    """Print the names of all settings by group."""
    groups = dict.fromkeys(row["name"].partition(".")[0] if "." in row["name"] else "" for row in rows)
    for group in groups:
        parts = (row["name"].partition(".") if "." in row["name"] else ("", "", row["name"]) for row in rows)
        names = ", ".join(name for first, _, name in parts if first == group)
        console.print(_wrapped(group or "(single)", names, 18), markup=False, highlight=False)
    console.print(
        "`dhr settings NAME` explains a group, or one setting; image.long_side is the option --image.long-side.",
        highlight=False,
        soft_wrap=True,
    )
