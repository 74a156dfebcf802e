"""Open the rows of a run."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dhr.errors import ConfigError
from dhr.results.places import ROWS, has_rows

if TYPE_CHECKING:
    from dhr.results.rows import RowMasks


def rows_at(folder: Path) -> "RowMasks":
    """Open a folder of Parquet files.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: there are no rows that can be used.
    """
    if find_spec("pyarrow") is None:
        raise ConfigError(f"{folder} holds Parquet files, which need pyarrow; install it: pip install 'dhr[cluster]'")
    from dhr.results.rows import opened_rows

    return opened_rows(folder)


def rows_of_run(out: Path) -> "RowMasks | None":
    """Open the rows of a run; None if its masks are files; raises as :func:`rows_at`."""
    return rows_at(out / ROWS) if has_rows(out) else None
