"""Problems of one kind, reported once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dhr.data.samples import Problem

_PARTICULARS = re.compile(r"""'[^']*'|"[^"]*"|\d+""")
_NAMED = 3  # sources of a group that a message names


@dataclass(frozen=True)
class ProblemGroup:
    """Problems whose reasons differ only in names and numbers."""

    problems: tuple[Problem, ...]

    @property
    def line(self) -> str:
        """Describe the first problem, and count the others.

        >>> ProblemGroup((Problem("a.jpg", "no tags"), Problem("b.jpg", "no tags"))).line
        "a.jpg: no tags (and 1 more for the same reason: 'b.jpg')"
        """
        first, *others = self.problems
        text = f"{first.source}: {first.reason}" if not first.reason.startswith(f"{first.source}:") else first.reason
        if not others:
            return text
        sources = list(dict.fromkeys(other.source for other in others if other.source != first.source))
        names = ", ".join(repr(source) for source in sources[:_NAMED]) + (", ..." if len(sources) > _NAMED else "")
        return f"{text} (and {len(others)} more for the same reason{': ' + names if names else ''})"


def group_problems(problems: Iterable[Problem]) -> list[ProblemGroup]:
    """Group problems by kind, in the order of the first problem of each kind.

    Two reasons are of one kind if they differ only in quoted names, numbers, and the source's own name.

    >>> found = group_problems([Problem("a", "line 2: unknown tag 'x'"), Problem("b", "line 9: unknown tag 'y'")])
    >>> len(found), len(found[0].problems)
    (1, 2)
    """
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(_PARTICULARS.sub("*", _without(problem.reason, problem.source)), []).append(problem)
    return [ProblemGroup(tuple(same)) for same in kinds.values()]


def _without(text: str, part: str) -> str:
    """Replace each ``part`` of the text that is no part of a word by ``*``."""
    if not part or part not in text:
        return text
    pieces = text.split(part)
    whole = pieces[0]
    for piece in pieces[1:]:
        inside = (whole[-1:].isalnum() and part[0].isalnum()) or (piece[:1].isalnum() and part[-1].isalnum())
        whole += (part if inside else "*") + piece
    return whole


def problem_lines(problems: Sequence[Problem], most: int) -> list[str]:
    """Describe all problems in at most ``most`` lines, each kind once; the last line counts the kinds that are left."""
    groups = group_problems(problems)
    lines = [group.line for group in groups[:most]]
    rest = sum(len(group.problems) for group in groups[most:])
    return [*lines, f"and {rest} more for {len(groups) - most} other reasons"] if rest else lines


def summary(problems: Sequence[Problem], most: int) -> str:
    """Join :func:`problem_lines` for the end of a message."""
    return " | ".join(problem_lines(problems, most))


def all_named(problems: Sequence[Problem], most: int) -> bool:
    """Tell whether :func:`problem_lines` names the source of every problem."""
    groups = group_problems(problems)
    return len(groups) <= most and all(len(group.problems) <= 1 + _NAMED for group in groups)
