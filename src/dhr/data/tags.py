"""``tags.csv``: which classes are in which photograph.

The header is ``image,tags`` (further columns are ignored); tags are joined by ``;``. UTF-8 with or without byte-order
mark, any line ends, quoted fields. A photograph may have several lines: one tag a line (they are united), or the same
tags again.
"""

import csv
import difflib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dhr.data.classes import BACKGROUND, read_text
from dhr.data.samples import ClassTable
from dhr.errors import DataError


@dataclass(frozen=True)
class TagLine:
    """One line of the file: the tags of a photograph, or why they cannot be used."""

    line: int
    """Where it ends in the file, from 1."""
    image: str
    """The photograph as the file names it."""
    tags: tuple[int, ...]
    """Class ids, sorted, without the background; empty where ``reason`` is given."""
    reason: str | None = None
    """Why the line cannot be used."""


def read_tags(path: Path, classes: ClassTable) -> list[TagLine]:
    """Read every line of ``tags.csv``, usable or not.

    A line with one unknown tag is unusable as a whole: without it, the method would hold the class to be absent, and
    give its pixels to others. The background may be tagged; since it is in every photograph, the tag is dropped.

    Raises:
        DataError: the file cannot be read, is not CSV, or has no columns ``image`` and ``tags``.
    """
    ids = {name: index for index, name in enumerate(classes.names)}
    lines = []
    for line, image, tags, extra in _rows(path):
        if extra:
            lines.append(
                TagLine(line, image, (), "more fields than the header; join tags by ';', quote names with commas")
            )
            continue
        named = [tag for tag in tags if not (classes.background and tag.casefold() == BACKGROUND)]
        unknown = [tag for tag in named if tag not in ids]
        found = sorted({ids[tag] for tag in named if tag in ids})
        reason = None
        if not image:
            reason = "no image is named; write image,tags"
        elif unknown:
            reason = "; ".join(_unknown(tag, classes) for tag in dict.fromkeys(unknown))
        elif not found and tags:
            reason = f"the only tag is the background {tags[0]!r}; tag what else is in the image, or remove the line"
        elif not found:
            reason = "no tags; write at least one, or remove the line"
        lines.append(TagLine(line, image, () if reason else tuple(found), reason))
    return lines


def tag_names(path: Path) -> list[str]:
    """The distinct tags of the file, sorted.

    Raises:
        DataError: as :func:`read_tags`.
    """
    return sorted({tag for _, _, tags, extra in _rows(path) if not extra for tag in tags})


def merge(lines: list[TagLine]) -> tuple[tuple[int, ...], str | None]:
    """The tags that all lines of one photograph give it, or why they give none.

    Lines of one tag each are united; otherwise all must agree.

    >>> merge([TagLine(2, "a", (4,)), TagLine(3, "a", (1,))])
    ((1, 4), None)
    >>> merge([TagLine(2, "a", (1, 4)), TagLine(3, "a", (1,))])
    ((), 'lines 2 and 3 give it different tags; keep one of them')
    """
    for line in lines:
        if line.reason:
            return (), f"line {line.line}: {line.reason}"
    if all(len(line.tags) == 1 for line in lines):
        return tuple(sorted({line.tags[0] for line in lines})), None
    for line in lines:
        if line.tags != lines[0].tags:
            return (), f"lines {lines[0].line} and {line.line} give it different tags; keep one of them"
    return lines[0].tags, None


def _rows(path: Path) -> Iterator[tuple[int, str, list[str], bool]]:
    """Line number, image, tags, and whether there were more fields than in the header."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    try:
        header = [field.strip().casefold() for field in next(reader, [])]
        if "image" not in header or "tags" not in header:
            raise DataError(
                f"{path} line 1: expected the header image,tags, got {','.join(header)!r}; write it above the rows"
            )
        image, tags = header.index("image"), header.index("tags")
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            fields = row + [""] * (len(header) - len(row))
            found = [tag for tag in (part.strip() for part in fields[tags].split(";")) if tag]
            yield reader.line_num, fields[image].strip(), found, any(field.strip() for field in row[len(header) :])
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: not valid CSV ({error}); look for a stray quote") from error


def _unknown(tag: str, classes: ClassTable) -> str:
    near = {name.casefold(): name for name in classes.names}
    names = [near[name] for name in difflib.get_close_matches(tag.casefold(), near, n=3)]
    hint = (
        f"did you mean {' or '.join(repr(name) for name in names)}?"
        if names
        else "correct it, or add it to classes.txt"
    )
    return f"unknown tag {tag!r}; {hint}"
