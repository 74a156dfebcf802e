"""Make the rows of a manifest from a table that the user has."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from dhr.data.class_names import one_spelling, table_of
from dhr.data.classes import read_classes
from dhr.data.images import SUFFIXES
from dhr.data.listing import escapes, key_of, name_of
from dhr.data.manifest.columns import GROUP, schema_of
from dhr.data.manifest.dataset import ManifestDataSet
from dhr.data.manifest.row import Row
from dhr.data.manifest.rows import RowReader
from dhr.data.manifest.table import Cell, Line, lines_of
from dhr.data.manifest.unique import Listed
from dhr.data.parquet import arrow
from dhr.data.problems import summary
from dhr.data.samples import ClassTable, Problem
from dhr.data.tag_cells import split_tags
from dhr.data.tag_table import Row as TagRow
from dhr.data.tags import TagLine, TagReader, merge
from dhr.data.uris import scheme, shown
from dhr.errors import ConfigError, DataError
from dhr.progress import Progress, Step, silent
from dhr.words import printable

Cells = tuple[Cell, ...]

_STEP = 10_000  # rows between two calls of ``progress``


@dataclass(frozen=True)
class PhotographTable:
    """A table of photographs, and the names of its columns."""

    table: Path | None = None
    """Table of photographs: CSV, TSV, `.xlsx` or Parquet."""
    id: str | None = None
    """Column with the name of each photograph, which its mask gets; a suffix such as `.jpg` is left out."""
    uri: str | None = None
    """Column with the path or URI of each photograph."""
    tags: str | None = None
    """Column of tags; a cell may hold several, or be a list."""
    truth: str | None = None
    """Column with the path or URI of ground-truth masks, PNGs of class ids."""
    splits: str | None = None
    """Column with the split of each photograph."""
    separator: str | None = None
    """Text between two tags of a cell; by default ;, | or commas."""
    base: str | None = None
    """Folder or URI at which relative paths of the table begin; by default the folder of the table."""
    classes: Path | None = None
    """File of class names, as classes.txt; by default all tags are classes, and there is a background."""

    def __post_init__(self) -> None:
        for name in ("table", "id", "uri", "tags"):
            if getattr(self, name) is None:
                given = next((one for one, value in vars(self).items() if value is not None), "table")
                raise ConfigError(f"--{given} is about a table of photographs; give --{name} as well")
        if self.separator is not None and not self.separator.strip():
            raise ConfigError(f"separator must be a text such as ;, got {self.separator!r}")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are read: id, uri, tags, then truth and splits if they are given."""
        return tuple(name for name in (self.id, self.uri, self.tags, self.truth, self.splits) if name is not None)


@dataclass
class FromTable:
    """The photographs of a table."""

    given: PhotographTable
    progress: Progress = silent
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The table."""
        assert self.given.table is not None
        return self.given.table

    def _classes(self) -> ClassTable:
        """Return the class table: that of a file, else all tags of the table.

        Raises:
            DataError: there are no tags, or they cannot be classes.
        """
        if self.given.classes is not None:
            return read_classes(self.given.classes)
        found = one_spelling(tag for line in self._lines() for tag in self._names(line.cells[2]))
        if not found:
            raise DataError(f"{self.path}: no row has a tag in the column {self.given.tags!r}; name the right column")
        made = table_of(found, self.path)
        self.notes.append(
            f"classes are the tags of the table, and a background; --classes FILE gives other ones: {len(found)} tags"
        )
        return made

    def data_set(self) -> ManifestDataSet:
        """Return the photographs as a data set. Several rows of one photograph, with one tag each, are united.

        Raises:
            DataError: the table cannot be read, lacks a column, or no row can be used.
        """
        classes = self._classes()
        read = TagReader(classes, None if self.given.classes is None else str(self.given.classes))
        listed = Listed(lambda number: f"{self.path} row {number}")
        for number, row in self._rows(classes, self._photographs(read)):
            listed.add(number, row)
        rows, problems = listed.unique()
        self.problems += problems
        self.notes += [f"{self.path}: {note}" for note in read.notes]
        if not rows:
            raise DataError(f"{self.path}: no usable photograph; {summary(self.problems, 3) or 'it has no rows'}")
        return ManifestDataSet(classes, rows, self.problems, self.notes)

    def _photographs(self, read: TagReader) -> Iterator[tuple[str, Sequence[tuple[TagLine, Cells]]]]:
        """Yield each photograph with its rows. Only those of photographs with several rows are kept meanwhile."""
        twice = self._twice()
        several: dict[str, list[tuple[TagLine, Cells]]] = defaultdict(list)
        for number, line in enumerate(self._lines(), start=1):
            name = self._name(line)
            if line.wrong or name is None:
                reason = line.wrong or f"the cell in the column {self.given.id!r} is empty; name the photograph"
                self.problems.append(Problem(f"{self.path} row {line.number}", f"row {line.number}: {reason}"))
            elif _hash(name) in twice:
                several[name].append((self._tagged(read, line), line.cells))
            else:
                yield name, [(self._tagged(read, line), line.cells)]
            if number % _STEP == 0:
                self.progress(Step("open", number, number, "rows"))
        yield from sorted(several.items())

    def _twice(self) -> frozenset[int]:
        """Return the hashes of the names that several rows have."""
        names = (self._name(line) for line in self._lines())
        hashes, counts = np.unique(np.fromiter((_hash(name) for name in names if name), np.uint64), return_counts=True)
        return frozenset(hashes[counts > 1].tolist())

    def _name(self, line: Line) -> str | None:
        """Return the name that a row gives its photograph; None if the cell is empty."""
        name = _text(line.cells[0])
        return name_of(key_of(name), SUFFIXES) if name else None

    def _lines(self) -> Iterator[Line]:
        return lines_of(self.path, self.given.columns)

    def _names(self, cell: Cell) -> list[str]:
        """Split a cell into tags before the classes are known."""
        if cell is None or isinstance(cell, tuple):
            return [one for one in cell or () if one]
        if self.given.separator is None:
            return split_tags(cell, lambda text: False)
        return [one.strip() for one in cell.split(self.given.separator) if one.strip()]

    def _tagged(self, read: TagReader, line: Line) -> TagLine:
        cell = line.cells[2]
        if isinstance(cell, tuple) or self.given.separator is not None:
            return read(line.number, "row", self._names(cell))
        return read.row(TagRow(line.number, "row", cells=[] if cell is None else [cell]))

    def _rows(
        self, classes: ClassTable, photographs: Iterable[tuple[str, Sequence[tuple[TagLine, Cells]]]]
    ) -> Iterator[tuple[int, Row | Problem]]:
        """Yield each photograph with the number of its first row."""
        reader, schema = RowReader(classes, self.path.parent, str(self.path)), schema_of(classes)
        usable: list[tuple[int, dict[str, Any]]] = []

        def read() -> Iterator[tuple[int, Row | Problem]]:
            numbers = [number for number, _ in usable]
            batch = arrow().Table.from_pylist([values for _, values in usable], schema=schema)
            yield from zip(numbers, reader.read(batch, numbers), strict=True)
            usable.clear()

        for name, lines in photographs:
            (first, cells), tagged = lines[0], merge([line for line, _ in lines], "row")
            uri, truth, split = self._places(cells)
            reason = tagged.reason
            if other := next((line for line, others in lines if self._places(others) != (uri, truth, split)), None):
                reason = f"rows {first.line} and {other.line} name other files or splits for it; keep one of them"
            if reason is None:
                names = [classes.names[tag] for tag in tagged.tags]
                usable.append((first.line, {"id": name, "uri": uri, "tags": names, "truth": truth, "split": split}))
            else:
                yield first.line, Problem(shown(uri) if uri else printable(name), f"{self.path}: {reason}")
            if len(usable) == GROUP:
                yield from read()
        if usable:
            yield from read()

    def _places(self, cells: Cells) -> tuple[str | None, str | None, str | None]:
        """Return photograph, ground truth and split of a row."""
        rest = [cell if isinstance(cell, str) else None for cell in cells[3:]]
        truth = rest.pop(0) if self.given.truth is not None else None
        split = rest.pop(0) if self.given.splits is not None else None
        return self._based(_text(cells[1])), self._based(truth), split

    def _based(self, text: str | None) -> str | None:
        """Return a path or URI of the table with its beginning."""
        base = self.given.base
        if text is None or base is None or scheme(text) is not None or escapes(text):
            return text
        base = base if scheme(base) else str(Path(base).absolute())
        return f"{base.rstrip('/')}/{text}"


def _text(cell: Cell) -> str | None:
    return cell if isinstance(cell, str) else None


def _hash(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"))
