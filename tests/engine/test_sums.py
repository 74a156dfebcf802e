"""Sums that workers make, and what stays in memory of many photographs."""

import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from dhr.data.manifest import Entry, write_manifest
from dhr.data.samples import ClassTable, Sample
from dhr.engine.manifest import Manifest
from dhr.evaluate.counts import Counts, count
from dhr.evaluate.tally import Tally
from dhr.firsts import Firsts
from dhr.records.item import ItemRecord, table_key
from dhr.results.row import PARQUET, Row, rows_table
from dhr.results.summary import BINS, Summary, summed

CLASSES = ClassTable(("background", "cat", "dog"), background=True)
KEY = table_key(CLASSES.names, CLASSES.background)

ROWS = st.lists(
    st.none()
    | st.tuples(
        st.none() | st.floats(0, 1),
        st.sets(st.sampled_from(["cat", "dog"])),
        st.dictionaries(st.sampled_from(CLASSES.names), st.floats(0, 1), max_size=3),
        st.none() | st.integers(0, 5),
    ),
    max_size=20,
)


def row(number: int, one: Any) -> Row:
    """Return a row; None fails."""
    if one is None:
        return Row(f"{number:04d}", "s", reason="gone")
    quality, tags, ratios, changed = one
    record = ItemRecord(
        digest="0" * 64, width=4, height=3, tags=tuple(sorted(tags)), ratios=ratios, quality=quality, seconds=0.5,
        vanished=tuple(sorted(tags - {name for name in ratios if ratios[name]})), mask="1" * 64, table=KEY,
        changed=changed,
    )  # fmt: skip
    return Row(f"{number:04d}", "s", record, b"mask")


@settings(max_examples=40)
@given(ROWS, st.integers(0, 20))
def test_sums_of_files_are_those_of_all_rows(rows: list[Any], cut: int) -> None:
    made = [row(number, one) for number, one in enumerate(rows)]
    foreign = Row("foreign", "other", reason="of another run")
    found = Summary()
    with tempfile.TemporaryDirectory() as folder:
        for name, part in (("a", [*made[:cut], foreign]), ("b", made[cut:])):
            path = Path(folder) / f"{name}.parquet"
            pq.write_table(rows_table(part, CLASSES), path, **PARQUET)
            found.add(Summary.parse(summed(path, "s").text()))
    records = [one.record for one in made if one.record is not None]
    known = [one.quality for one in records if one.quality is not None]
    assert (found.masks, found.failed, found.judged) == (len(records), len(rows) - len(records), len(known))
    assert found.tagged == Counter(tag for one in records for tag in one.tags)
    assert found.vanished == Counter(tag for one in records for tag in one.vanished)
    assert +found.present == Counter(name for one in records for name, share in one.ratios.items() if share)
    assert found.lost == sum(bool(one.vanished) for one in records)
    assert found.changed == sum(bool(one.changed) for one in records)
    assert found.seconds == 0.5 * len(records) and sum(found.histogram) == len(known)
    for place, number in enumerate(found.histogram):
        last = place == BINS - 1
        assert number == sum(place / BINS <= one < (place + 1) / BINS or (last and one == 1) for one in known)
    for name in CLASSES.names:
        assert found.shares.get(name, 0.0) == pytest.approx(math.fsum(one.ratios.get(name, 0.0) for one in records))
    named = {one.id: one.record.quality for one in made if one.record is not None}
    order = sorted(named, key=lambda name: (math.inf if named[name] is None else named[name], name))
    assert [name for _, name in found.worst] == order


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_packed_counts_come_back(classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    pred, truth = random.choice(np.array([*range(classes), 255], np.uint8), (2, 6, 7))
    made = count(pred, truth, classes)
    again = Counts.unpacked(*made.packed(), classes)
    for name in ("matrix", "edges", "seen"):
        assert (getattr(again, name) == getattr(made, name)).all()


def test_the_worst_photographs_stay_and_the_scores_are_those_of_all() -> None:
    random = np.random.default_rng(0)
    whole, few = Tally(CLASSES, 10), Tally(CLASSES, 10, most=3)
    for number in range(40):
        pred, truth = random.integers(0, 3, (2, 8, 8), np.uint8)
        for tally in (whole, few):
            tally.add(Sample(f"{number}", f"{number}", (1,), True), pred, truth)
    first, second = whole.scores(), few.scores(unnamed={"missing": 4})
    assert first.whole_json() == second.whole_json()
    assert [one.to_json() for one in first.per_class] == [one.to_json() for one in second.per_class]
    ranked = sorted(first.per_image, key=lambda one: one.miou)[:3]
    assert {*second.per_image} == {*ranked} and [one.name for one in second.per_image] == sorted(
        (one.name for one in ranked), key=int
    )
    assert second.photographs == first.photographs == 40 and second.to_json()["images"] == 40
    assert second.number("missing") == second.to_json()["missing"] == 4 and not second.missing


@given(st.lists(st.lists(st.integers())), st.integers(0, 5))
def test_the_first_entries_stay(parts: list[list[int]], most: int) -> None:
    found, joined = Firsts[int](most), Firsts[int](most)
    for part in parts:
        own = Firsts[int](most)
        for one in part:
            found.append(one)
            own.append(one)
        joined.extend(own)
    whole = [one for part in parts for one in part]
    assert found.first == joined.first == whole[:most] and len(found) == len(joined) == len(whole)


def test_rows_are_found_by_their_ids(tmp_path: Path) -> None:
    entries = [Entry(f"{number:03d}", f"{number}.jpg", ("cat",)) for number in range(50)]
    write_manifest(tmp_path / "photos.parquet", CLASSES, entries)
    found = Manifest.open(tmp_path / "photos.parquet", None).named({"007", "030", "none"})
    assert [(one.name, Path(one.uri).name) for one in found] == [("007", "7.jpg"), ("030", "30.jpg")]
