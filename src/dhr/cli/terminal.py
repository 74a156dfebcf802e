"""The console of a command, with what all commands print alike."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dhr.data.problems import all_named, problem_lines
from dhr.data.samples import Problem
from dhr.words import printable

_KINDS = 10  # reasons that are printed


class Terminal(Console):
    """Prints lines as they are; prints each note, and each reason for leaving something out, once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._told: set[str] = set()

    def say(self, text: str) -> None:
        """Print a line, however long."""
        self.print(escape(text), highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a note, unless it was printed before."""
        text = printable(text)  # it may quote the name of a file
        if text not in self._told:
            self._told.add(text)
            self.print(f"[bold]Note:[/bold] {escape(text)}", highlight=False, soft_wrap=True)

    def notes(self, texts: Iterable[str]) -> None:
        """Print several notes."""
        for text in texts:
            self.note(text)

    def left_out(self, problems: Sequence[Problem], every: str = "", title: str = "Left out") -> None:
        """Print the number of problems and each reason once, with some of the files that it concerns.

        Args:
            problems: photographs or files that were left out, or are broken.
            every: where all of them are listed, if not here.
            title: a word for them.
        """
        if not problems:
            return
        self.print(f"[bold]{title}: {len(problems)}[/bold]")
        for text in problem_lines(problems, _KINDS):
            self.say(f"  {text}")
        if every and not all_named(problems, _KINDS):
            self.say(f"  {every}")


def table(first: Sequence[str], numbers: Sequence[str], title: str = "") -> Table:
    """Make a table: the first columns are names, which may be folded, the others numbers."""
    made = Table(title=title or None, title_justify="left")
    for name in first:
        made.add_column(name, overflow="fold")
    for name in numbers:
        made.add_column(name, justify="right", overflow="fold")
    return made
