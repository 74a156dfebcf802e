"""Files of tags: which classes are in which photograph.

``tags.csv``, ``tags.tsv`` and ``tags.xlsx`` are tables (:mod:`dhr.data.tag_table`): a header such as ``image,tags``,
and a row for each photograph, or for each of its tags. ``tags.jsonl`` has an object a line: ``{"image": "a.jpg",
"tags": ["cat"]}``. A photograph may have several lines: one tag a line (they are united), or the same tags again.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.background import is_background
from dhr.data.classes import read_text
from dhr.data.json_text import parse_json
from dhr.data.names import Entry, Names
from dhr.data.samples import UNTAGGED, ClassTable, Problem, Tagged
from dhr.data.spelling import Spelling
from dhr.data.spreadsheet import read_table
from dhr.data.tag_cells import AmbiguousCellError, parts_of, split_tags
from dhr.data.tag_table import Row, rows_of

_NAMED = 3  # unknown tags of a line that a reason names


@dataclass(frozen=True, slots=True)
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
    """Number of tags in the line, the background included; by default that of ``tags``."""


class TagReader:
    """Turns the names of tags into class ids.

    A line with one unknown tag is unusable as a whole: without it, the method would take the class as absent and give
    its pixels to others. The background may be tagged; the tag is dropped, as the background is in every photograph.
    Names are compared in Unicode's composed form; a name in another case (`Cat`) is accepted if it can mean only one
    class, and :attr:`notes` reports it.
    """

    def __init__(self, classes: ClassTable, source: str | None = "classes.txt") -> None:
        """Take the class table, and the file that a class could be added to, if there is one."""
        self._classes = classes
        self._spelling = Spelling(classes.names, source)
        self._most = parts_of(classes.names)

    def __call__(self, line: int, image: str, tags: Sequence[str]) -> TagLine:
        """Return the line with class ids, or with the reason why it cannot be used."""
        found: set[int] = set()
        unknown: dict[str, None] = {}
        for tag in tags:
            tag = unicodedata.normalize("NFC", tag).strip()
            if (index := self.id_of(tag)) is None:
                unknown[tag] = None
            elif index in self._classes.foreground:
                found.add(index)
        reason = None
        if not image:
            reason = "no image is named; write image,tags"
        elif unknown:
            reason = self._unknown(list(unknown))
        elif not found and not self._classes.background:
            reason = UNTAGGED
        return TagLine(line, image, () if reason else tuple(sorted(found)), reason, len(tags))

    def id_of(self, tag: str) -> int | None:
        """Return the id of the class that a tag names, 0 for the background if there is one; None for other names."""
        tag = unicodedata.normalize("NFC", tag).strip()
        return 0 if self._classes.background and is_background(tag) else self._spelling.read(tag)

    def row(self, row: Row) -> TagLine:
        """Read a table's row; its cells are split by :func:`split_tags`."""
        if row.wrong:
            return TagLine(row.line, row.image, (), row.wrong)
        try:
            split = [tag for cell in row.cells for tag in split_tags(cell, self.knows, self._most)]
        except AmbiguousCellError as error:
            return TagLine(row.line, row.image, (), str(error))
        return self(row.line, row.image, [*row.tags, *split])

    def knows(self, text: str) -> bool:
        """Tell whether a text is the name of a class, or of the background."""
        text = unicodedata.normalize("NFC", text).strip()
        return self._spelling.find(text) is not None or (self._classes.background and is_background(text))

    @property
    def notes(self) -> list[str]:
        """Report names in another case than the class has."""
        return self._spelling.notes

    def _unknown(self, tags: Sequence[str]) -> str:
        first = "; ".join(f"unknown tag {tag!r}; {self._spelling.hint(tag)}" for tag in tags[:_NAMED])
        return first + (f"; and {len(tags) - _NAMED} more unknown tags" if len(tags) > _NAMED else "")


def read_tags(
    path: Path, classes: ClassTable, notes: list[str] | None = None, source: str | None = "classes.txt"
) -> list[TagLine]:
    """Read every line of a file of tags, usable or not; its suffix tells the kind.

    ``notes`` gets the decisions of the reader. ``source`` is the file that a class could be added to, for messages, or
    None if the classes are fixed.

    Raises:
        DataError: the file cannot be read, or has no columns of photographs and tags.
        ConfigError: ``.xlsx`` needs a package that is not installed.
    """
    read, notes = TagReader(classes, source), [] if notes is None else notes
    lines = [read.row(row) for row in _rows(path, read.knows, notes)]
    notes += (f"{path}: {note}" for note in read.notes)
    return lines


def tag_names(path: Path) -> list[str]:
    """Return the distinct tags of the file, sorted; raises as :func:`read_tags`."""
    rows = [row for row in _rows(path, lambda text: False, []) if not row.wrong]
    split = (tag for row in rows for cell in row.cells for tag in split_tags(cell, lambda text: False))
    return sorted({*split, *(tag for row in rows for tag in row.tags)})


def merge(lines: Sequence[TagLine], word: str = "line") -> Tagged:
    """Unite the tags of all lines of one photograph.

    Lines with one tag each (which may be the background) are united; otherwise all must agree. ``word`` names a line in
    messages.

    >>> merge([TagLine(2, "a", (4,)), TagLine(3, "a", (1,))]).tags
    (1, 4)
    >>> merge([TagLine(2, "a", (1, 4)), TagLine(3, "a", (1,))]).reason
    'lines 2 and 3 give it different tags; keep one of them'
    >>> merge([TagLine(2, "a", (4,)), TagLine(3, "a", (), written=1)]).tags
    (4,)
    """
    for line in lines:
        if line.reason:
            return Tagged(reason=f"{word} {line.line}: {line.reason}")
    if all((len(line.tags) if line.written is None else line.written) == 1 for line in lines):
        return Tagged(tuple(sorted({tag for line in lines for tag in line.tags})))
    for line in lines:
        if line.tags != lines[0].tags:
            return Tagged(reason=f"lines {lines[0].line} and {line.line} give it different tags; keep one of them")
    return Tagged(lines[0].tags)


@dataclass(frozen=True)
class Matched:
    """The lines of a file of tags by photograph."""

    file: Path
    lines: Mapping[str, Sequence[TagLine]]
    """By listed file."""
    word: str = "line"

    def tags_of(self, photograph: str) -> Tagged:
        """Return the tags of a listed file."""
        if (lines := self.lines.get(photograph)) is None:
            return Tagged(reason=f"no {self.word} in {self.file.name}; add one")
        tagged = merge(lines, self.word)
        return tagged if tagged.reason is None else Tagged(reason=f"{self.file} {tagged.reason}")


def match_lines(
    file: Path, lines: Iterable[TagLine], names: Names, problems: list[Problem] | None, word: str = "line"
) -> Matched:
    """Find the photograph of each line of ``file``; lines of no photograph become ``problems``."""
    entries = [Entry(line.image, f"{file} {word} {line.line}", line, line.reason) for line in lines]
    return Matched(file, names.match(file, entries, problems), word)


def _rows(path: Path, known: Callable[[str], bool], notes: list[str]) -> list[Row]:
    if path.suffix.lower() != ".jsonl":
        return rows_of(path, read_table(path), known, notes)
    lines = enumerate(read_text(path).split("\n"), start=1)  # strings may hold other line ends
    return [_json_row(number, line) for number, line in lines if line.strip()]


def _json_row(number: int, line: str) -> Row:
    try:
        value = parse_json(line)
    except ValueError as error:
        return Row(number, "", wrong=f'not valid JSON ({error}); write {{"image": "a.jpg", "tags": ["cat"]}}')
    image, tags = (value.get("image"), value.get("tags")) if isinstance(value, dict) else (None, None)
    if not isinstance(image, str) or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        wrong = 'expected {"image": name, "tags": [name, ...]}; correct the line'
        return Row(number, image if isinstance(image, str) else "", wrong=wrong)
    return Row(number, image.strip(), tags=[tag for tag in tags if tag.strip()])
