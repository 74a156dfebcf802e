"""One Parquet file of rows. It may come from somebody else, so its sizes are checked before it is read."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from dhr.data.parquet import open_parquet
from dhr.data.samples import ClassTable
from dhr.errors import DataError
from dhr.results.row import SCHEMA, table_in
from dhr.words import one_line, without

MAX_GROUP = 2_000_000_000
"""Largest row group, bytes."""
MAX_NAMES = 256
"""Tags and shares per row, on average."""
REMEDY = "copy it again, or delete it and continue the run"
"""For a damaged file."""


class PartError(Exception):
    """A file of rows that cannot be used; the message is the reason and the remedy."""


class Part:
    """A Parquet file of rows that is open. Threads read it one after the other.

    Raises:
        PartError: it cannot be opened, or is not a file of rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock, self._stack = Lock(), ExitStack()
        with self._reading(), ExitStack() as stack:
            self._table = stack.enter_context(open_parquet(path))
            self.classes: ClassTable = table_in(self._table.schema)
            self.starts: Int64[np.ndarray, " bounds"] = _starts(self._table.file)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def check(self) -> None:
        """Check what all pages unpack to, without unpacking any; raises PartError."""
        with self._lock, self._reading():
            self._table.check_pages(SCHEMA.names, MAX_NAMES)

    def group_of(self, row: int) -> tuple[int, int]:
        """Return the row group of a row, and the place of the row in it."""
        group = int(np.searchsorted(self.starts, row, "right")) - 1
        return group, row - int(self.starts[group])

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """The texts that the writer has put into the file beside its rows."""
        return dict(self._table.file.metadata.metadata or {})

    @property
    def groups(self) -> int:
        """Number of row groups."""
        return len(self.starts) - 1

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Read columns of a row group.

        Raises:
            PartError: they are damaged.
        """
        with self._lock, self._reading():
            table = self._table.file.read_row_group(group, columns=list(columns), use_threads=False)
            wanted = pa.schema([SCHEMA.field(name) for name in columns])
            table = table.select(list(columns)).cast(wanted)
            table.validate(full=True)
        return table

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn the exceptions of Parquet's reader into one."""
        try:
            yield
        except PartError:
            raise
        except MemoryError as error:
            raise PartError("it cannot be read: there is not enough memory; close other programs") from error
        except DataError as error:  # its remedy is for tables that people write
            reason = without(self.path, error).rpartition("; ")[0]
            raise PartError(f"it is damaged, truncated or not a file of rows ({reason}); {REMEDY}") from error
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            raise PartError(f"it is damaged, truncated or not a file of rows ({reason}); {REMEDY}") from error


class OpenParts:
    """The parts that were used last, kept open: their footers take time to read, and memory.

    Args:
        paths: all parts.
        most: number of parts that are open at a time.
    """

    def __init__(self, paths: Sequence[Path], most: int = 4) -> None:
        self._paths, self._most = paths, most
        self._open: OrderedDict[int, Part] = OrderedDict()
        self._lock = Lock()

    def use(self, number: int, work: Callable[[Part], Any]) -> Any:
        """Return the result of ``work`` with a part; raises PartError."""
        with self._lock:  # a part must stay open while it is read
            if number not in self._open:
                self._open[number] = Part(self._paths[number])
                while len(self._open) > self._most:
                    self._open.popitem(last=False)[1].close()
            self._open.move_to_end(number)
            return work(self._open[number])


def _starts(parquet: Any) -> Int64[np.ndarray, " bounds"]:
    """Return the first row of each row group, and the number of rows; check columns and sizes."""
    found, names = parquet.metadata, parquet.schema_arrow.names
    if missing := [name for name in SCHEMA.names if name not in names]:
        raise ValueError(f"it has no column {missing[0]!r}")
    if len({*names}) < len(names):
        raise ValueError("it has a column twice")
    counts = [0]
    for number in range(found.num_row_groups):
        group = found.row_group(number)
        if not 0 <= group.num_rows <= found.num_rows or not 0 <= group.total_byte_size <= MAX_GROUP:
            raise ValueError(f"row group {number} has {group.total_byte_size} bytes, over the limit of {MAX_GROUP}")
        counts.append(group.num_rows)
    starts: Int64[np.ndarray, " bounds"] = np.cumsum(counts, dtype=np.int64)
    if starts[-1] != found.num_rows:
        raise ValueError("its row groups do not add up to its rows")
    return starts
