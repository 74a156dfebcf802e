"""Rows: masks and records of photographs as tables of Arrow, which Parquet files hold."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dhr.data.samples import ClassTable
from dhr.data.table_json import parsed_table, table_members
from dhr.parsing import Fields, parse_json
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import parse_record, to_json
from dhr.records.run import Identity

VERSION = 1
"""Version of the rows that this program writes."""
KEY, KIND = b"dhr", "rows"
"""Key of the class table in the metadata of a file's schema, and the kind of content that it names."""
GROUP = 128
"""Rows of a row group: reading one mask reads its whole group."""

_TEXTS = pa.list_(pa.string())
_COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    "id": (pa.string(), "Name of the photograph, unique in the run."),
    "settings": (pa.string(), "Digest of the run's identity, see `settings_digest`."),
    "reason": (pa.string(), "Why the photograph has no mask; null if it has one. Then all columns below are null."),
    "digest": (pa.string(), "SHA-256 of the photograph, in hex."),
    "width": (pa.int32(), "Pixels."),
    "height": (pa.int32(), "Pixels."),
    "mask": (pa.binary(), "The mask as indexed PNG, the same bytes as in `masks/NAME.png`."),
    "mask_digest": (pa.string(), "SHA-256 of the mask, in hex."),
    "tags": (_TEXTS, "Names of the tagged classes."),
    "shares": (pa.map_(pa.string(), pa.float64()), "Share of the mask, by class name."),
    "quality": (pa.float64(), "Quality of the mask, 0..1."),
    "vanished": (_TEXTS, "Names of tagged classes without a pixel in the mask."),
    "moved": (pa.float64(), "Change of the marginals in the last round."),
    "seconds": (pa.float64(), "Seconds that the mask took."),
    "image": (pa.string(), "The source of the photograph."),
    "turn": (pa.int64(), "How many times the masks of the run were begun, from 1."),
    "changed": (pa.int64(), "Pixels that differ from the mask that this one replaced."),
}
SCHEMA = pa.schema([pa.field(name, kind) for name, (kind, _) in _COLUMNS.items()])
"""The columns of a row."""
PARQUET: Mapping[str, Any] = {
    "compression": "zstd",
    "row_group_size": GROUP,
    "use_dictionary": ["settings", "tags.list.element", "vanished.list.element", "shares.key_value.key"],
    "write_statistics": ["id"],
    "write_page_checksum": True,
}
"""How rows are written: the arguments of `pyarrow.parquet.write_table`."""

_MEMBERS = {"shares": "ratios", "mask_digest": "mask"}  # columns of other names than the member of the record
_OF_RECORD = [name for name in _COLUMNS if name not in ("id", "settings", "reason", "mask")]


@dataclass(frozen=True)
class Row:
    """A photograph of a run: its mask with its record, or the reason why it has none."""

    id: str
    """Name of the photograph."""
    settings: str
    """Digest of the run's identity."""
    record: ItemRecord | None = None
    mask: bytes | None = None
    """The file of the mask; None also if it was not read."""
    reason: str | None = None
    """Why there is no mask, in one line."""


def settings_digest(identity: Identity) -> str:
    """Return the SHA-256 of a run's identity, in hex: rows with another one belong to another run."""
    text = json.dumps(to_json(identity), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def schema_of(classes: ClassTable) -> pa.Schema:
    """Return the schema of a file of rows, with the class table of their masks in its metadata."""
    record = {"kind": KIND, "version": VERSION, **table_members(classes)}
    return SCHEMA.with_metadata({KEY: json.dumps(record, ensure_ascii=False).encode()})


def rows_table(rows: Sequence[Row], classes: ClassTable) -> pa.Table:
    """Return rows as a table, in their order.

    Raises:
        ValueError: a row has neither mask and record nor a reason, or its record is of another class table.
    """
    key = table_key(classes.names, classes.background)
    values = [_values(row, key) for row in rows]
    return pa.table({name: [one.get(name) for one in values] for name in _COLUMNS}, schema_of(classes))


def rows_of(table: pa.Table, classes: ClassTable) -> list[Row]:
    """Return the rows of a table; columns that it lacks are those that were not read.

    Raises:
        ValueError: a row is damaged.
    """
    return [_row(values, classes) for values in table.to_pylist()]


def members_of(table: pa.Table, classes: ClassTable) -> Iterator[dict[str, Any]]:
    """Yield the members of the record of each row, as its JSON has them; nulls are left out."""
    return (_members(values, classes) for values in table.to_pylist())


def columns_of(members: Collection[str]) -> list[str]:
    """Return the columns that hold members of a record."""
    return [name for name in _OF_RECORD if _MEMBERS.get(name, name) in members]


def table_in(schema: pa.Schema) -> ClassTable:
    """Return the class table in the metadata of a file's schema.

    Raises:
        ValueError: it is missing or damaged, or the file is of a later version.
    """
    content = (schema.metadata or {}).get(KEY)
    if content is None:
        raise ValueError("expected rows of dhr, found no class table in its metadata")
    fields = Fields(parse_json(content.decode()), "dhr")
    if fields.value("kind") != KIND:
        raise ValueError(f"expected rows of dhr, got {str(fields.value('kind'))[:40]!r}")
    if (version := fields.whole("version", 1, 1 << 30)) > VERSION:
        raise ValueError(f"its version is {version}, of a later dhr; update dhr")
    return parsed_table(fields)


def _values(row: Row, key: str) -> dict[str, Any]:
    """Return the values of a row by column."""
    found: dict[str, Any] = {"id": row.id, "settings": row.settings, "reason": row.reason, "mask": row.mask}
    if (row.record is None) != (row.mask is None) or (row.mask is None) != (row.reason is not None):
        raise ValueError(f"{row.id}: expected a mask with its record, or a reason")
    if row.record is not None:
        if row.record.table != key or row.record.person is not None:
            raise ValueError(f"{row.id}: expected the machine's record, with the class table {key}")
        found |= {name: getattr(row.record, _MEMBERS.get(name, name)) for name in _OF_RECORD}
        found["shares"] = list(row.record.ratios.items())
    return found


def _members(values: Mapping[str, Any], classes: ClassTable) -> dict[str, Any]:
    found = {_MEMBERS.get(name, name): values[name] for name in _OF_RECORD if values.get(name) is not None}
    found |= {"ratios": dict(found["ratios"])} if "ratios" in found else {}
    return {**found, "table": table_key(classes.names, classes.background)}


def _row(values: Mapping[str, Any], classes: ClassTable) -> Row:
    record, reason = None, values.get("reason")
    if reason is None and "digest" in values:
        record = parse_record(ItemRecord, _members(values, classes))
    return Row(values["id"], values.get("settings") or "", record, values.get("mask"), reason)
