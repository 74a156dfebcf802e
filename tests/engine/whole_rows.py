"""The rows of a folder, read without the index of the package."""

from pathlib import Path

import pyarrow.parquet as pq

from dhr.results.row import Row, rows_of, table_in


def rows_in(out: Path) -> dict[str, Row]:
    """Return the rows of a folder by id; each is there once."""
    found: dict[str, Row] = {}
    for path in sorted((out / "rows").glob("[!.]*.parquet")):
        table = pq.read_table(path)
        for row in rows_of(table, table_in(table.schema)):
            assert row.id not in found
            found[row.id] = row
    return found
