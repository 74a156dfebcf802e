"""Files of tags: which classes are in which photograph.

``tags.csv`` has the header ``image,tags`` (further columns are ignored); tags are joined by ``;``. UTF-8 with or
without byte-order mark, any line ends, quoted fields; fields may be separated by semicolons or tabs as well, if those
of the header are, as some spreadsheets write them. ``tags.jsonl`` has an object a line:
``{"image": "a.jpg", "tags": ["cat"]}``. A photograph may have several lines: one tag a line (they are united), or the
same tags again.
"""

import csv
import difflib
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.classes import BACKGROUND, read_text
from dhr.data.json_text import parse_json
from dhr.data.samples import UNTAGGED, ClassTable
from dhr.errors import DataError


@dataclass(frozen=True)
class TagLine:
    """One line of the file: the tags of a photograph, or why they cannot be used."""

    line: int
    """Where it ends in the file, from 1."""
    image: str
    """The photograph as the file names it."""
    tags: tuple[int, ...]
    """Class ids, sorted, without the background; empty where ``reason`` is given, and for a photograph that shows the
    background alone."""
    reason: str | None = None
    """Why the line cannot be used."""
    written: int | None = None
    """How many tags the line holds, the background included; by default those of ``tags``."""


class TagReader:
    """Turns the names of tags into class ids.

    A line with one unknown tag is unusable as a whole: without it, the method would hold the class to be absent, and
    give its pixels to others. The background may be tagged; since it is in every photograph, the tag is dropped.
    """

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        self._ids = {name: index for index, name in enumerate(classes.names)}

    def __call__(self, line: int, image: str, tags: Sequence[str]) -> TagLine:
        """The line with class ids, or with the reason why it cannot be used; names are compared in composed form."""
        tags = [unicodedata.normalize("NFC", tag).strip() for tag in tags]
        named = [tag for tag in tags if not (self._classes.background and tag.casefold() == BACKGROUND)]
        unknown = [tag for tag in named if tag not in self._ids]
        found = sorted({self._ids[tag] for tag in named if tag in self._ids})
        reason = None
        if not image:
            reason = "no image is named; write image,tags"
        elif unknown:
            reason = "; ".join(_unknown(tag, self._classes) for tag in dict.fromkeys(unknown))
        elif not found and not self._classes.background:
            reason = UNTAGGED
        return TagLine(line, image, () if reason else tuple(found), reason, len(tags))


def read_tags(path: Path, classes: ClassTable) -> list[TagLine]:
    """Read every line of a file of tags, usable or not; JSON Lines if its suffix is ``.jsonl``, else CSV.

    Raises:
        DataError: the file cannot be read, or is no CSV with columns ``image`` and ``tags``.
    """
    read = TagReader(classes)
    return [
        TagLine(row.line, row.image, (), row.wrong) if row.wrong else read(row.line, row.image, row.tags)
        for row in _rows(path)
    ]


def tag_names(path: Path) -> list[str]:
    """The distinct tags of the file, sorted.

    Raises:
        DataError: as :func:`read_tags`.
    """
    return sorted({tag for row in _rows(path) if not row.wrong for tag in row.tags})


def merge(lines: list[TagLine]) -> tuple[tuple[int, ...], str | None]:
    """The tags that all lines of one photograph give it, or why they give none.

    Lines of one tag each are united, the background being such a tag; otherwise all must agree.

    >>> merge([TagLine(2, "a", (4,)), TagLine(3, "a", (1,))])
    ((1, 4), None)
    >>> merge([TagLine(2, "a", (1, 4)), TagLine(3, "a", (1,))])
    ((), 'lines 2 and 3 give it different tags; keep one of them')
    >>> merge([TagLine(2, "a", (4,)), TagLine(3, "a", (), written=1)])
    ((4,), None)
    """
    for line in lines:
        if line.reason:
            return (), f"line {line.line}: {line.reason}"
    if all((len(line.tags) if line.written is None else line.written) == 1 for line in lines):
        return tuple(sorted({tag for line in lines for tag in line.tags})), None
    for line in lines:
        if line.tags != lines[0].tags:
            return (), f"lines {lines[0].line} and {line.line} give it different tags; keep one of them"
    return lines[0].tags, None


@dataclass(frozen=True)
class _Row:
    line: int
    image: str
    tags: list[str]
    wrong: str | None = None


def _rows(path: Path) -> Iterator[_Row]:
    return _json_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[_Row]:
    text = read_text(path)
    comma = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True, delimiter=comma)
    wrong = (
        "more fields than the header; join tags by ';', quote names with commas"
        if comma == ","
        else "more fields than the header; join tags by ';' and put them in quotes"
    )
    try:
        header = [field.strip().casefold() for field in next(reader, [])]
        if "image" not in header or "tags" not in header:
            raise DataError(
                f"{path} line 1: expected the header image,tags, got {comma.join(header)!r}; write it above the rows"
            )
        image, tags = header.index("image"), header.index("tags")
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            fields = row + [""] * (len(header) - len(row))
            found = [tag for tag in (part.strip() for part in fields[tags].split(";")) if tag]
            more = any(field.strip() for field in row[len(header) :])
            yield _Row(reader.line_num, fields[image].strip(), found, wrong if more else None)
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: not valid CSV ({error}); look for a stray quote") from error


def _separator(text: str) -> str:
    """What separates the fields of the header: a comma, or whatever spreadsheets write instead."""
    header = text.lstrip("\r\n").splitlines()[:1]
    return next((mark for mark in ",;\t" if header and mark in header[0]), ",")


def _json_rows(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):  # strings may hold other line ends
        if line.strip():
            yield _json_row(number, line)


def _json_row(number: int, line: str) -> _Row:
    try:
        value = parse_json(line)
    except ValueError as error:
        return _Row(number, "", [], f'not valid JSON ({error}); write {{"image": "a.jpg", "tags": ["cat"]}}')
    image, tags = (value.get("image"), value.get("tags")) if isinstance(value, dict) else (None, None)
    if not isinstance(image, str) or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return _Row(
            number, image if isinstance(image, str) else "", [],
            'expected {"image": name, "tags": [name, ...]}; correct the line',
        )  # fmt: skip
    return _Row(number, image.strip(), [tag for tag in tags if tag.strip()])


def _unknown(tag: str, classes: ClassTable) -> str:
    near = {name.casefold(): name for name in classes.names}
    names = [near[name] for name in difflib.get_close_matches(tag.casefold(), near, n=3)]
    hint = (
        f"did you mean {' or '.join(repr(name) for name in names)}?"
        if names
        else "correct it, or add it to classes.txt"
    )
    return f"unknown tag {tag!r}; {hint}"
