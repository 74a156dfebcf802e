"""Lines of tags and the photographs that they name: the one place where they are brought together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.listing import Names, printable
from dhr.data.samples import Problem
from dhr.data.tags import TagLine, merge


@dataclass(frozen=True)
class Matched:
    """The lines of a file of tags by photograph."""

    file: Path
    lines: Mapping[str, Sequence[TagLine]]
    """Of each listed file that is named."""
    problems: tuple[Problem, ...]
    """Lines that name no listed file, or one that cannot be told."""

    def tags_of(self, photograph: str) -> tuple[tuple[int, ...], str | None]:
        """The tags of a listed file, or why it has none."""
        lines = self.lines.get(photograph)
        if lines is None:
            return (), f"no line in {self.file.name}; add one"
        tags, reason = merge(list(lines))
        return tags, f"{self.file} {reason}" if reason else None


def match_lines(file: Path, lines: Sequence[TagLine], names: Names) -> Matched:
    """Find the photograph of each line of ``file``, by the end of its path; see :class:`~dhr.data.listing.Names`."""
    found: dict[str, list[TagLine]] = defaultdict(list)
    problems = []
    matched = names.find_all([line.image for line in lines])
    for line, (files, reason) in zip(lines, matched, strict=True):
        if not line.image:
            reason = line.reason
        for photograph in files:
            found[photograph].append(line)
        if reason:
            problems.append(Problem(printable(line.image) or str(file), f"{file} line {line.line}: {reason}"))
    return Matched(file, dict(found), tuple(problems))
