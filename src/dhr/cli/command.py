"""What a command is to the command line, and what their parsers share."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

Call = Callable[[], int]
"""A command with its arguments; returns the exit code."""


@dataclass(frozen=True)
class Ready:
    """A command that is about to read its arguments."""

    parser: ArgumentParser
    call: Callable[[Namespace], Call]
    """From what the parser made of the arguments."""
    arguments: list[str]
    """The command's name and what follows it, in the order in which they count."""


@dataclass(frozen=True)
class Command:
    """A command of ``dhr``; nothing of it is imported before it is asked for."""

    name: str
    line: str
    """What it does, in the manual."""
    ready: Callable[[list[str]], Ready]
    """From the command's name and what follows it; ConfigError if that cannot work."""


def new_parser(text: str, usage: str, end: str = "") -> ArgumentParser:
    """A parser whose texts keep their lines."""
    return ArgumentParser(
        usage=usage,
        description=textwrap.dedent(text).strip(),
        epilog=end.strip() or None,
        formatter_class=Formatter,
    )


def add_format(parser: ArgumentParser) -> None:
    """``--format``, the layout of the data folder, and ``--ignore_unknown``."""
    from dhr.data.open import AUTO, READERS

    parser.add_argument(
        "--format",
        type=str,
        default=AUTO,
        help=f"layout of the data folder: {AUTO}, {', '.join(READERS)} (docs/data.md)",
    )
    parser.add_argument(
        "--ignore_unknown",
        action="store_true",
        help="use photographs whose annotations hold things that dhr does not read, and ignore these things",
    )


class Formatter(DefaultHelpFormatter):
    """Help whose description and examples keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())
