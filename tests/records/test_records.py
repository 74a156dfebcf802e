"""Records come back as they were written; their schemas are current, and the files of a run keep to them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.records.item import ItemRecord, numbers_hold, table_key
from dhr.records.members import to_json
from dhr.records.run import Identity, RunRecord, StageRecord
from dhr.records.scan import Scanned, ScanRecord
from dhr.records.schema import SCHEMAS, schema

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_current(name: str) -> None:
    found = json.loads((DOCS / name).read_text(encoding="utf-8"))
    assert found == schema(SCHEMAS[name]), "run: python -m dhr.records.schema docs"


def test_the_files_of_a_run_keep_to_the_schemas(finished: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads((finished.out / "run.json").read_bytes()), schema(RunRecord))
    items = list((finished.out / "items").rglob("*.json"))
    assert len(items) == 5
    for path in items:
        jsonschema.validate(json.loads(path.read_bytes()), schema(ItemRecord))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"digest": "0", "width": "wide", "height": 1}, schema(ItemRecord))


TEXTS = st.lists(st.text(max_size=5), max_size=3).map(tuple)


@given(
    st.builds(
        ItemRecord, digest=st.text(max_size=9), width=st.integers(1, 99), height=st.integers(1, 99), tags=TEXTS,
        ratios=st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=3), vanished=TEXTS,
        quality=st.none() | st.floats(0, 1), turn=st.integers(1, 9), mask=st.text(max_size=9),
    )
)  # fmt: skip
def test_an_item_comes_back(record: ItemRecord) -> None:
    assert ItemRecord.parse(json.loads(json.dumps(to_json(record)))) == record


@given(st.lists(st.builds(StageRecord, st.text(min_size=1, max_size=5), turn=st.integers(1, 5), made=st.booleans())))
def test_a_run_comes_back(stages: list[StageRecord]) -> None:
    record = RunRecord(Identity("1", {"torch": "2"}, {"seed": 0}, "sha256:0"), stages=tuple(stages), notes=("a",))
    assert RunRecord.parse(json.loads(json.dumps(to_json(record)))) == record


def test_a_file_of_a_later_version_is_refused() -> None:
    with pytest.raises(ValueError, match="of a later dhr; update dhr"):
        RunRecord.parse({"version": 2, "identity": {}})


def test_older_files_are_read() -> None:
    identity = {"dhr": "0.1", "settings": {"seed": 0}, "photographs and tags": "sha256:1"}
    found = RunRecord.parse({"status": "finished", "command": "train", "identity": identity})
    assert (found.kind, found.identity.data, found.command) == ("train", "sha256:1", ())
    scan = ScanRecord.parse({"a": {"digest": "0", "reason": None, "size": [3, 4]}})
    assert scan.photographs == {"a": Scanned("0", None, (3, 4), None)}
    assert ItemRecord.parse({"image": "a.jpg", "width": 3, "height": 4, "digest": "0"}).turn == 1


@given(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=6, unique=True), st.integers(1, 6), st.booleans())
def test_numbers_hold_while_classes_follow(names: list[str], count: int, background: bool) -> None:
    key = table_key(names[:count], background)
    assert numbers_hold(key, names, background)
    assert not numbers_hold(key, names, not background)
    assert numbers_hold(key, names[::-1], background) == (names[:count] == names[::-1][:count])
