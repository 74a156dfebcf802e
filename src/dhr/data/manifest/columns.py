"""The columns of a manifest, and the class table in its metadata."""

import json
from collections.abc import Sequence
from typing import Any

from dhr.data.classes import enumeration
from dhr.data.parquet import arrow
from dhr.data.samples import ClassTable
from dhr.data.table_json import parsed_table, table_members
from dhr.errors import DataError
from dhr.parsing import Fields, parse_json

SCHEMA_KEY = b"dhr"
"""Key of dhr's record in the metadata of a Parquet file."""

KIND = "manifest"
MARK = b'"kind": "manifest"'
"""Bytes of that record by which a manifest is recognised without pyarrow."""
VERSION = 1
"""Version of the columns and of the record."""

NEEDED = ("id", "uri", "tags")
COLUMNS = (*NEEDED, "width", "height", "split", "truth")
"""Columns that are read; a manifest may have others."""

GROUP = 10_000
"""Rows of a row group that dhr writes."""

_MOST = 1_000_000  # characters of the record


def schema_of(classes: ClassTable) -> Any:
    """Return the Arrow schema of a manifest of these classes."""
    pa = arrow()
    record = {"kind": KIND, "version": VERSION, **table_members(classes)}
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("split", pa.string()),
        pa.field("truth", pa.string()),
    ]
    return pa.schema(fields, {SCHEMA_KEY: json.dumps(record, ensure_ascii=False).encode()})


def is_manifest(schema: Any) -> bool:
    """Tell whether dhr wrote a Parquet file of this schema as a manifest."""
    try:
        return bool(Fields(parse_json((schema.metadata or {})[SCHEMA_KEY].decode())).value("kind") == KIND)
    except (KeyError, ValueError):
        return False


def class_table(schema: Any, where: str) -> ClassTable:
    """Return the class table of a manifest; ``where`` names its file in messages.

    Raises:
        DataError: it has none, another version, or names that cannot be classes.
    """
    content = (schema.metadata or {}).get(SCHEMA_KEY)
    if content is None:
        raise DataError(
            f"{where}: it has no class table, so dhr did not write it as a manifest; make one of it with `dhr manifest "
            f"--table {where}` and the names of its columns"
        )
    try:
        if len(content) > _MOST:
            raise ValueError(f"it has over {_MOST} bytes")
        record = Fields(parse_json(content.decode()))
        if (kind := record.text("kind")) != KIND:
            raise DataError(f"{where}: expected a manifest, got {kind!r} of dhr; give the Parquet file of photographs")
        if (version := record.whole("version", 1, 1 << 30)) != VERSION:
            raise DataError(f"{where}: expected version {VERSION} of a manifest, got {version}; write it again")
        return parsed_table(record)
    except ValueError as error:  # UnicodeDecodeError is one
        raise DataError(f"{where}: its class table is damaged ({error}); write the manifest again") from error


def check_columns(schema: Any, where: str, needed: Sequence[str] = NEEDED) -> None:
    """Refuse columns that are missing, occur twice, or have other types than a manifest's.

    Raises:
        DataError: one does; the message names it.
    """
    pa = arrow()
    for name in COLUMNS:
        count = schema.names.count(name)
        if count > 1:
            raise DataError(f"{where}: it has {count} columns {name!r}; keep one of them")
        if not count:
            if name in needed:
                there = enumeration(schema.names, most=12)
                raise DataError(f"{where}: expected a column {name!r}, got {there}; a manifest has id, uri and tags")
            continue
        kind = schema.field(name).type
        if name == "tags":
            fits, wanted = is_text_list(kind), "lists of texts"
        elif name in ("width", "height"):
            fits, wanted = pa.types.is_integer(kind), "whole numbers"
        else:
            fits, wanted = is_text(kind), "texts"
        if not fits:
            raise DataError(f"{where}: expected {wanted} in the column {name!r}, got {kind_of(kind)}; convert it")


def kind_of(kind: Any) -> str:
    """Return the name of an Arrow type for a message; of a dictionary, that of its values."""
    return str(kind.value_type if arrow().types.is_dictionary(kind) else kind)[:60]


def is_text(kind: Any) -> bool:
    """Tell whether an Arrow type is text, plain or as a dictionary."""
    types = arrow().types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def is_text_list(kind: Any) -> bool:
    """Tell whether an Arrow type is a list of texts."""
    types = arrow().types
    return bool((types.is_list(kind) or types.is_large_list(kind)) and is_text(kind.value_type))
