"""JSON Schemas of the records, made from their fields: ``python -m dhr.records.schema docs``."""

import ast
import inspect
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dhr.files import write_json
from dhr.records.correction import Correction
from dhr.records.item import ItemRecord
from dhr.records.members import inner
from dhr.records.run import RunRecord

SCHEMAS = {"run.schema.json": RunRecord, "item.schema.json": ItemRecord, "correction.schema.json": Correction}
"""The dataclass of each file."""
_SIMPLE = {str: "string", bool: "boolean", int: "integer", float: "number"}


def schema(record: type) -> dict[str, Any]:
    """Return the JSON Schema of a record. Other members are allowed, so that later versions fit."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": record.__name__, **_described(record)}


def _described(record: type) -> dict[str, Any]:
    hints, texts = get_type_hints(record, include_extras=True), _texts(record)
    members = {
        one.name: {**_kind(hints[one.name]), **({"description": texts[one.name]} if one.name in texts else {})}
        for one in fields(record)
    }
    required = [one.name for one in fields(record) if one.default is MISSING and one.default_factory is MISSING]
    described = {"type": "object", "description": inspect.getdoc(record), "properties": members}
    return {**described, "required": required} if required else described


def _kind(hint: Any) -> dict[str, Any]:
    hint, limits, _ = inner(hint)  # a member that is None is left out
    if hint is Any:
        return {}
    if hint in _SIMPLE:
        low = {} if limits is None else {"minimum": limits.low}
        high = {} if limits is None or limits.high == math.inf else {"maximum": limits.high}
        return {"type": _SIMPLE[hint], **low, **high}
    if isinstance(hint, type) and is_dataclass(hint):
        return _described(hint)
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is Mapping:
        return {"type": "object", "additionalProperties": _kind(get_args(hint)[1]) or True}
    return {"type": "array", "items": _kind(get_args(hint)[0])}


def _texts(record: type) -> dict[str, str]:
    """Return the docstrings below the fields of a dataclass."""
    body = ast.parse(inspect.getsource(record)).body[0].body  # type: ignore[attr-defined]
    pairs = pairwise(body)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


if __name__ == "__main__":
    for name, described in SCHEMAS.items():
        write_json(Path(sys.argv[1]) / name, schema(described))
