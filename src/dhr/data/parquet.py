"""Read Parquet files from outside within bounded memory.

Headers are checked before pyarrow reads anything: nested types (it follows them by recursion, to the end of its stack),
and for each page the bytes that it unpacks to and the number of its values. Texts stay encoded as dictionaries, so a
text that occurs in a million rows is in memory once.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from dhr.data.thrift import Compact
from dhr.errors import ConfigError, DataError
from dhr.files import open_regular
from dhr.words import one_line

MAGIC = b"PAR1"
"""The first and last bytes of a Parquet file."""

MAX_BYTES = 64_000_000_000
"""Largest file."""
MAX_FOOTER = 64_000_000
"""Largest description of a file's content, bytes."""
MAX_ROWS = 5_000_000
"""Most rows of a table that a single process reads."""
MAX_PAGE = 256_000_000
"""Bytes that a page may unpack to; programs write pages of about 1 MB."""
MAX_VALUES = 20
"""Values per row, on average, in a column of lists."""
BATCH = 10_000
"""Rows that are read at once."""

_DEPTH, _GROUPS = 32, 100_000
_HEADERS = (4_096, 1 << 20, 1 << 25)  # bytes of a page's header: smallest and largest values may be long texts


@cache
def arrow() -> Any:
    """Return the package pyarrow, with its part for Parquet.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "Parquet files need the package pyarrow, which is not installed; pip install 'dhr[cluster]'"
        ) from error
    return pyarrow


def is_parquet(path: Path) -> bool:
    """Tell whether a regular file begins as Parquet does."""
    try:
        with open_regular(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def description(path: Path) -> bytes:
    """Return the bytes with which a Parquet file describes itself; none of any other file."""
    try:
        with open_regular(path) as file:
            return _footer(file) if file.read(len(MAGIC)) == MAGIC else b""
    except (OSError, ValueError):
        return b""


@dataclass(frozen=True)
class ParquetTable:
    """An open Parquet file."""

    path: Path
    file: Any
    """pyarrow's ParquetFile."""
    headers: IO[bytes]
    """The same file, with a position of its own."""

    @property
    def schema(self) -> Any:
        """The names and types of its columns, as Arrow has them."""
        return self.file.schema_arrow

    @property
    def rows(self) -> int:
        """The number of its rows."""
        return int(self.file.metadata.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yield the rows of some columns, up to :data:`BATCH` at a time, as Arrow's record batches.

        Raises:
            DataError: it is damaged, or would unpack to too much.
        """
        there = [name for name in columns if name in self.schema.names]
        with _one_line(self.path):
            self.check_pages(there)
            for group in range(self.file.metadata.num_row_groups):  # dictionaries grow until a group ends
                yield from self.file.iter_batches(BATCH, row_groups=[group], columns=there, use_threads=False)

    def check_pages(self, columns: Sequence[str], most: int = MAX_VALUES) -> None:
        """Read the header of every page, without unpacking any.

        Args:
            columns: those that will be read.
            most: values per row, on average, in a column of lists.

        Raises:
            DataError: one would unpack to too much.
            ValueError: one is damaged.
        """
        whole = self.file.metadata
        if self.rows > MAX_ROWS:
            raise DataError(f"{self.path}: it has {self.rows} rows, over the limit of {MAX_ROWS}; split the table")
        values = dict.fromkeys(columns, 0)
        for group in range(whole.num_row_groups):
            for number in range(whole.row_group(group).num_columns):
                column = whole.row_group(group).column(number)
                name = next((one for one in columns if f"{column.path_in_schema}.".startswith(f"{one}.")), None)
                if name is not None:
                    values[name] += self._values(column, name)
                    if values[name] > most * max(self.rows, 1000):
                        raise DataError(
                            f"{self.path}: the column {name!r} has over {most} values per row; split long lists"
                        )

    def _values(self, column: Any, name: str) -> int:
        """Return the number of values in the pages of one part of a column; refuse huge pages."""
        at = column.data_page_offset
        if column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < at:
            at = column.dictionary_page_offset
        end, values = at + column.total_compressed_size, 0
        while at < end:
            header, length = self._header(at)
            parts = [header[field] for field in (5, 7, 8) if isinstance(header.get(field), dict)]
            numbers = [header.get(2), header.get(3), *(part.get(1) for part in parts)]
            unpacked, packed, *counts = [one if isinstance(one, int) else -1 for one in numbers]
            if min(unpacked, packed, *counts) < 0:
                raise ValueError(f"a page of the column {name!r} has no valid header")
            if unpacked > MAX_PAGE:
                raise DataError(
                    f"{self.path}: a page of the column {name!r} unpacks to {unpacked // 10**6} MB, over the limit of "
                    f"{MAX_PAGE // 10**6}; write it with smaller pages"
                )
            values += sum(counts)
            at += length + packed
        return values

    def _header(self, at: int) -> tuple[dict[int, Any], int]:
        for most in _HEADERS:
            self.headers.seek(at)
            reader = Compact(self.headers.read(most))
            try:
                return reader.record(), reader.at
            except EOFError:
                continue
        raise ValueError("a page has no valid header")


@contextmanager
def open_parquet(path: Path, texts: Sequence[str] = ()) -> Iterator[ParquetTable]:
    """Open a Parquet file.

    Args:
        path: the file.
        texts: columns of texts, or of lists of them, which stay encoded as dictionaries.

    Raises:
        DataError: it is not a Parquet file, is damaged, too large or nested too deep.
        ConfigError: pyarrow is not installed.
    """
    pa = arrow()
    with ExitStack() as stack:
        with _one_line(path):
            content, headers = (stack.enter_context(open_regular(path, MAX_BYTES)) for _ in range(2))
            _check_footer(path, headers)
            limits = {"thrift_string_size_limit": MAX_FOOTER, "thrift_container_size_limit": _GROUPS}
            limits |= {"pre_buffer": False, "page_checksum_verification": True}
            file = pa.parquet.ParquetFile(content, **limits)
            if texts:
                file = pa.parquet.ParquetFile(content, read_dictionary=_leaves(file, texts), **limits)
        yield ParquetTable(path, file, headers)


def _leaves(file: Any, texts: Sequence[str]) -> list[str]:
    """Return the names that Parquet gives to the texts of some columns."""
    names = [file.schema.column(number).path for number in range(len(file.schema))]
    return [name for name in names if any(f"{name}.".startswith(f"{one}.") for one in texts)]


def _check_footer(path: Path, content: IO[bytes]) -> None:
    """Refuse types that are nested too deep."""
    if content.read(len(MAGIC)) != MAGIC:
        raise DataError(f"{path}: expected a Parquet file, got something else; name the right file")
    types = Compact(_footer(content)).record(last=2).get(2)
    if not isinstance(types, list) or not all(isinstance(one, dict) for one in types):
        raise ValueError("it has no columns")
    if _depth([one.get(5) or 0 for one in types]) > _DEPTH:
        raise DataError(f"{path}: its columns are nested over {_DEPTH} deep; keep simple ones")


def _footer(content: IO[bytes]) -> bytes:
    """Return the description at the end of a file; raises ValueError if there is none."""
    size = content.seek(0, 2)
    content.seek(max(size - 8, 0))
    tail = content.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length > size - 12:
        raise ValueError("its end is missing")
    if length > MAX_FOOTER:
        raise ValueError(f"its description has {length // 10**6} MB")
    content.seek(size - 8 - length)
    return content.read(length)


def _depth(children: Sequence[int]) -> int:
    """Return how deep types are nested, of which each has so many types that follow it."""
    left: list[int] = []
    deepest = 0
    for count in children:
        while left and left[-1] <= 0:
            left.pop()
        if left:
            left[-1] -= 1
        left.append(count)
        deepest = max(deepest, len(left))
        if deepest > _DEPTH:
            break
    return deepest


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn the exceptions of damaged files into one clear error."""
    try:
        yield
    except (DataError, ConfigError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes Arrow raise anything
        reason = getattr(error, "strerror", None) or one_line(error, 120)
        raise DataError(f"{path}: cannot be read as Parquet: {reason}; write it again") from error
