"""Rows: records and masks to tables and back."""

import io
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.data.samples import ClassTable
from dhr.records.item import ItemRecord, table_key
from dhr.records.run import Identity
from dhr.results.row import PARQUET, SCHEMA, Row, rows_of, rows_table, settings_digest, table_in

CLASSES = ClassTable(("background", "cat", "dög"), True, ("", "pets", "pets"), ((0, 0, 0), (1, 2, 3), (4, 5, 6)))
KEY = table_key(CLASSES.names, True)
DIGEST = st.binary(min_size=32, max_size=32).map(bytes.hex)
SHARE = st.floats(0, 1)
NAMES = st.lists(st.sampled_from(CLASSES.names[1:]), unique=True).map(tuple)
RECORDS = st.builds(
    ItemRecord,
    digest=DIGEST,
    width=st.integers(1, 2**31 - 1),
    height=st.integers(1, 2**31 - 1),
    tags=NAMES,
    ratios=st.lists(st.tuples(st.sampled_from(CLASSES.names), SHARE), unique_by=lambda one: one[0]).map(dict),
    vanished=NAMES,
    image=st.text(st.characters(codec="utf-8"), max_size=20),
    quality=st.none() | SHARE,
    moved=st.none() | st.floats(0, 1e9),
    seconds=st.none() | st.floats(0, 1e9),
    mask=DIGEST,
    table=st.just(KEY),
    turn=st.integers(1, 1000),
    changed=st.none() | st.integers(0, 1 << 40),
)
MADE = st.builds(Row, st.text("ab/ü", min_size=1), st.just("s"), RECORDS, st.binary(max_size=99))
FAILED = st.builds(Row, st.text("ab/ü", min_size=1), st.just("s"), reason=st.text("xyz", min_size=1))


def stored(table: pa.Table) -> pa.Table:
    file = io.BytesIO()
    pq.write_table(table, file, **PARQUET)
    file.seek(0)
    return pq.ParquetFile(file, page_checksum_verification=True).read()


@settings(max_examples=20, deadline=None)
@given(st.lists(MADE | FAILED, max_size=5))
def test_rows_come_back(rows: list[Row]) -> None:
    table = stored(rows_table(rows, CLASSES))
    assert table_in(table.schema) == CLASSES
    assert rows_of(table, CLASSES) == rows
    for row, found in zip(rows, rows_of(table, CLASSES), strict=True):
        if row.record is not None and found.record is not None:  # a record as JSON keeps the order of its classes
            assert json.dumps([*found.record.ratios.items()]) == json.dumps([*row.record.ratios.items()])


def test_columns_that_were_not_read_stay_empty() -> None:
    record = ItemRecord("0" * 64, 4, 3, mask="1" * 64, table=KEY)
    table = stored(rows_table([Row("a", "s", record, b"png")], CLASSES))
    assert rows_of(table.select(["id", "mask"]), CLASSES) == [Row("a", "", None, b"png")]
    assert rows_of(table.drop_columns(["mask"]), CLASSES) == [Row("a", "s", record)]


@pytest.mark.parametrize(
    "row",
    [
        Row("a", "s"),
        Row("a", "s", mask=b"png"),
        Row("a", "s", ItemRecord("0" * 64, 4, 3, table=KEY)),
        Row("a", "s", ItemRecord("0" * 64, 4, 3, table=KEY), b"png", "also a reason"),
        Row("a", "s", ItemRecord("0" * 64, 4, 3, table="2:0"), b"png"),
        Row("a", "s", ItemRecord("0" * 64, 4, 3, table=KEY, person="mended"), b"png"),
    ],
)
def test_rows_that_do_not_hold_together_are_refused(row: Row) -> None:
    with pytest.raises(ValueError, match=r"^a: expected"):
        rows_table([row], CLASSES)


@pytest.mark.parametrize(("column", "value"), [("quality", math.nan), ("width", -1), ("shares", [("cat", 2.0)])])
def test_damaged_values_are_refused(column: str, value: object) -> None:
    table = rows_table([Row("a", "s", ItemRecord("0" * 64, 4, 3, table=KEY), b"png")], CLASSES)
    place = SCHEMA.get_field_index(column)
    table = table.set_column(place, SCHEMA.field(column), pa.array([value], SCHEMA.field(column).type))
    with pytest.raises(ValueError, match="expected"):
        rows_of(table, CLASSES)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no class table"),
        ("[]", "an object"),
        ('{"kind": "manifest"}', "expected rows of dhr"),
        ('{"kind": "rows", "version": 2, "classes": ["a"], "background": false}', "later dhr"),
        ('{"kind": "rows", "version": 1, "classes": ["a", "a"], "background": false}', "occurs twice"),
        ('{"kind": "rows", "version": 1, "classes": ["a"], "background": true}', "one name or more"),
        ('{"kind": "rows", "version": 1, "classes": ["a"], "background": false, "supers": []}', "supers"),
        ('{"kind": "rows", "version": 1, "classes": ["a"], "background": false, "colours": [[1]]}', "three numbers"),
    ],
)
def test_damaged_class_tables_are_refused(content: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        table_in(SCHEMA.with_metadata(None if content is None else {"dhr": content}))


def test_the_digest_of_settings_depends_on_all_of_the_identity() -> None:
    one = Identity("1", {"numpy": "2"}, {"a": 1, "b": 2}, "data")
    assert settings_digest(one) == settings_digest(Identity("1", {"numpy": "2"}, {"b": 2, "a": 1}, "data"))
    others = [Identity("2", {"numpy": "2"}, {"a": 1, "b": 2}, "data"), Identity("1", {"numpy": "2"}, {"a": 1, "b": 2})]
    assert len({settings_digest(one), *map(settings_digest, others)}) == 3
