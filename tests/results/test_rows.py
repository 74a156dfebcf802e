"""Rows of a run: found by id, read in order, and named where they cannot be used."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhr.api.result import MaskFiles
from dhr.corrections.beside import masks_at
from dhr.data import parquet
from dhr.data.images import mask_bytes, read_mask
from dhr.data.samples import ClassTable, Problem
from dhr.errors import ConfigError, DataError, ItemError
from dhr.files import write_json
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import to_json
from dhr.records.run import Identity, RunRecord
from dhr.results import opened
from dhr.results.protocol import Masks, Records
from dhr.results.row import PARQUET, SCHEMA, Row, rows_table, schema_of, settings_digest
from dhr.results.rows import RowMasks, opened_rows

CLASSES = ClassTable(("background", "cat", "dog"), True)
IDENTITY = Identity("1")
SETTINGS = settings_digest(IDENTITY)
NAMES = [f"trip/p{number}" for number in range(10)]


def made(name: str, settings: str = SETTINGS) -> Row:
    mask = np.full((3, 4), NAMES.index(name) % 3, np.uint8)
    content = mask_bytes(mask)
    digest = hashlib.sha256(content).hexdigest()
    record = ItemRecord(
        "0" * 64, 4, 3, ("cat",), {"cat": 0.5}, quality=NAMES.index(name) / 10, mask=digest,
        table=table_key(CLASSES.names, True),
    )  # fmt: skip
    return Row(name, settings, record, content)


def write(folder: Path, number: int, rows: Sequence[Row], classes: ClassTable = CLASSES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{number:05d}.parquet"
    pq.write_table(rows_table(rows, classes), path, **{**PARQUET, "row_group_size": 2})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two parts of five rows each, in row groups of two, and the record of their run."""
    rows = [made(name) for name in NAMES]
    write(tmp_path / "rows", 0, rows[:5])
    write(tmp_path / "rows", 1, rows[5:])
    save_run(tmp_path)
    return tmp_path / "rows"


def save_run(out: Path, **more: Any) -> None:
    run = RunRecord(IDENTITY, "finished", classes=CLASSES.names, background=True, counts={"masks": len(NAMES)})
    write_json(out / "run.json", to_json(replace(run, **more)))


def test_every_row_is_found_by_its_id_and_read_in_order(folder: Path) -> None:
    rows = RowMasks(folder)
    assert isinstance(rows, Masks) and isinstance(rows, Records)
    assert [*rows.names()] == NAMES and len(rows) == len(NAMES) and not rows.problems
    for name in reversed(NAMES):
        assert rows.row(name) == replace(made(name), settings="")
        assert (read_mask(rows.mask(name)) == NAMES.index(name) % 3).all()
        assert rows.digest(name) == made(name).record.mask
    assert [row.id for row in rows.rows() if isinstance(row, Row)] == NAMES
    assert dict(rows.each(ItemRecord)) == {name: made(name).record for name in NAMES}
    for strange in ("p0", "trip/p10", "", "trip\udc80", "../rows"):
        assert not rows.has(strange) and rows.row(strange) is None and rows.record(strange) is None
        with pytest.raises(ItemError, match="found none"):
            rows.mask(strange)


def test_masks_are_not_read_for_records(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = set[str]()
    read = pq.ParquetFile.read_row_group

    def seen(self: Any, group: int, **more: Any) -> pa.Table:
        columns.update(more["columns"])
        return read(self, group, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", seen)
    rows = RowMasks(folder)
    assert columns == {"id", "settings", "reason"}
    assert len([*rows.each(ItemRecord)]) == len([*rows.names()]) == len(NAMES)
    assert "mask" not in columns


def test_the_index_is_kept_while_the_files_are_the_same(folder: Path) -> None:
    first = opened_rows(folder)
    assert opened_rows(folder) is first
    (folder / "part-00001.parquet").unlink()
    assert [*opened_rows(folder).names()] == NAMES[:5]
    assert [*first.names()] == NAMES[:5]  # of a file that is gone now, nothing is read
    with pytest.raises(ItemError, match="cannot be used"):
        first.row(NAMES[5])


def test_a_reason_gives_way_to_a_mask(folder: Path) -> None:
    write(folder, 2, [Row(NAMES[0], SETTINGS, reason="it was busy"), Row("gone", SETTINGS, reason="it is gone")])
    rows = RowMasks(folder)
    assert not rows.problems and [*rows.names()] == NAMES
    assert [*rows.failures()] == [Problem("gone", "it is gone")]
    assert rows.record("gone") is None


def test_of_two_rows_with_one_id_neither_is_used(folder: Path) -> None:
    write(folder, 2, [made(NAMES[0]), made(NAMES[7])])
    shutil.copy(folder / "part-00001.parquet", folder / "part-00003.parquet")
    rows = RowMasks(folder)
    assert [*rows.names()] == NAMES[1:5]
    reasons = sorted(problem.reason for problem in rows.problems)
    assert len(reasons) == 3 and all("one row per id" in reason for reason in reasons)
    assert any("4 ids" in one and "part-00001.parquet and part-00003.parquet" in one for one in reasons)
    assert not any(rows.has(name) for name in (NAMES[0], NAMES[7]))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def with_huge_footer(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1")


def of_another_run(path: Path) -> None:
    write(path.parent, 1, [made(name, "0" * 64) for name in NAMES[5:]])


def of_another_table(path: Path) -> None:
    table = ClassTable(("background", "cat", "bird"), True)
    rows = [made(name) for name in NAMES[5:]]
    key = table_key(table.names, True)
    write(path.parent, 1, [replace(row, record=replace(row.record, table=key)) for row in rows if row.record], table)


def of_a_later_version(path: Path) -> None:
    metadata = schema_of(CLASSES).metadata[b"dhr"].replace(b'"version": 1', b'"version": 2')
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"dhr": metadata}), path)


def without_a_column(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["digest"]), path)


def of_another_type(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "id", pa.array([[one] for one in table["id"].to_pylist()])), path)


def with_a_row_without_id(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "id", pa.array([None, *table["id"].to_pylist()[1:]])), path)


def in_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (truncated, "damaged, truncated or not a file of rows"),
        (emptied, "expected a Parquet file"),
        (with_huge_footer, "its end is missing"),
        (of_another_run, "5 of its 5 rows belong to another run"),
        (of_another_table, "its class table differs"),
        (of_a_later_version, "update dhr"),
        (without_a_column, "no column 'digest'"),
        (of_another_type, "damaged"),
        (with_a_row_without_id, "no id"),
        (in_a_pipe, "a named pipe, not a regular file"),
        (Path.unlink, "expected the 10 masks of run.json, found 5 rows"),
    ],
)
def test_a_part_that_cannot_be_used_is_named_and_the_others_are_used(
    folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder / "part-00001.parquet")
    rows = RowMasks(folder)
    (problem,) = rows.problems
    assert told in problem.reason and "\n" not in problem.reason
    assert [*rows.names()] == NAMES[:5] and not rows.has(NAMES[5])
    assert (read_mask(rows.mask(NAMES[4])) == 1).all()


def test_a_page_that_unpacks_to_too_much_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "part-00001.parquet"
    table = pq.read_table(path)
    texts = pa.array(["x" * 3_000_000] * len(table))  # a few bytes on disk
    pq.write_table(table.set_column(SCHEMA.get_field_index("image"), "image", texts), path, compression="zstd")
    monkeypatch.setattr(parquet, "MAX_PAGE", 2_000_000)
    assert "unpacks to" in RowMasks(folder).problems[0].reason


def test_a_damaged_mask_is_named_and_only_its_rows_are_lost(folder: Path) -> None:
    path = folder / "part-00000.parquet"
    group = pq.ParquetFile(path).metadata.row_group(1)
    column = group.column(SCHEMA.get_field_index("mask"))
    content = bytearray(path.read_bytes())
    place = column.data_page_offset + column.total_compressed_size - 5
    content[place] ^= 1
    path.write_bytes(content)
    rows = RowMasks(folder)
    assert not rows.problems and [*rows.names()] == NAMES
    for name in NAMES:
        if name in NAMES[2:4]:
            with pytest.raises(ItemError, match=r"part-00000\.parquet: the row of 'trip/p[23]' cannot be used"):
                rows.mask(name)
        else:
            read_mask(rows.mask(name))
    assert len([one for one in rows.rows() if isinstance(one, Problem)]) == 1


def test_a_mask_that_is_not_that_of_its_record_is_refused(folder: Path) -> None:
    rows = [replace(made(name), mask=made(NAMES[1]).mask) for name in NAMES[:5]]
    write(folder, 0, rows)
    found = RowMasks(folder)
    with pytest.raises(ItemError, match="not that of its record"):
        found.mask(NAMES[0])
    read_mask(found.mask(NAMES[1]))
    assert [isinstance(one, Problem) for one in found.rows()] == [True, False, True, True, False, *[False] * 5]


def test_without_a_part_that_can_be_used_there_are_no_masks(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        truncated(path)
    with pytest.raises(DataError, match="none that can be used: it is damaged"):
        RowMasks(folder)
    for path in folder.glob("*.parquet"):
        path.rename(path.with_name("." + path.name))
    with pytest.raises(DataError, match="none that can be used"):
        RowMasks(folder)
    (folder.parent / "run.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        RowMasks(folder)


def test_random_bytes_never_end_a_reader(folder: Path) -> None:
    """Whatever byte of a part changes: it is read, or named."""
    path, rng = folder / "part-00001.parquet", np.random.default_rng(0)
    before = path.read_bytes()
    for _ in range(20):
        content = bytearray(before)
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        rows = RowMasks(folder)
        for name in NAMES:
            try:
                if rows.has(name):
                    assert rows.row(name) == replace(made(name), settings="")
            except ItemError:
                assert name in NAMES[5:]
        assert {name for name, _ in rows.each(ItemRecord)} >= {*NAMES[:5]}


def test_the_index_takes_13_bytes_per_row(folder: Path) -> None:
    table = rows_table([Row("x", SETTINGS, made(NAMES[0]).record, b"")], CLASSES)
    count = 4_000
    whole = pa.concat_tables([table] * count).combine_chunks()
    whole = whole.set_column(0, SCHEMA.field("id"), pa.array([f"folder/photograph-{one:07d}" for one in range(count)]))
    pq.write_table(whole.replace_schema_metadata(table.schema.metadata), folder / "part-00009.parquet", **PARQUET)
    rows = RowMasks(folder)
    assert len(rows) == count + len(NAMES) and rows.has(f"folder/photograph-{count - 1:07d}")
    assert rows.nbytes <= 13.1 * len(rows)


def test_masks_of_a_result_are_those_of_the_rows(folder: Path) -> None:
    found = MaskFiles(folder)
    assert [*found] == sorted(NAMES) and len(found) == len(NAMES)
    assert (found[NAMES[4]] == 1).all() and "p9" not in found


def test_without_pyarrow_one_line_tells_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"need pyarrow; install it: pip install 'dhr\[cluster\]'$"):
        masks_at(folder)


def test_commands_on_files_do_not_load_pyarrow() -> None:
    code = "import sys, dhr.corrections.beside, dhr.job.opened_run, dhr.api.results; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
