"""How commands tell what they left out: each reason once."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from dhr.data.problems import all_named, problem_lines
from dhr.data.samples import Problem

_KINDS = 10  # reasons that are printed


def print_problems(console: Console, problems: Sequence[Problem], every: str = "", title: str = "Left out") -> None:
    """Print how many there are and each reason once, with some of those that it concerns.

    Args:
        console: where.
        problems: what was left out, or is broken.
        every: where all of them are told, if not here.
        title: what they are.
    """
    if not problems:
        return
    console.print(f"[bold]{title}: {len(problems)}[/bold]")
    lines = problem_lines(problems, _KINDS)
    for line in lines:
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    if every and not all_named(problems, _KINDS):
        console.print(f"  {escape(every)}", highlight=False, soft_wrap=True)
