"""The parts of the engine that need no cluster: the sample, units, checks of a worker."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from dhr.api.settings import run_settings
from dhr.data.manifest import Entry, Row, write_manifest
from dhr.data.samples import ClassTable, Problem
from dhr.engine.config import RunEngine
from dhr.engine.fit import engine_config
from dhr.engine.manifest import Manifest, UnitReader, Units
from dhr.engine.networks import FittedWork, check
from dhr.engine.sample import draw, drawn
from dhr.errors import ConfigError, DataError, OutputError
from dhr.files import digest_regular
from dhr.job.drafts import group_size
from dhr.records.run import Identity, RunRecord

CLASSES = ClassTable(("background", "cat", "dog"), background=True)


def entries(count: int, split: str | None = None) -> list[Entry]:
    tags = ((), ("cat",), ("dog",), ("cat", "dog"))
    return [Entry(f"{n:05d}", f"{n}.jpg", tags[n % 4], split=None if n % 3 else split) for n in range(count)]


def written(folder: Path, count: int, split: str | None = None) -> Path:
    write_manifest(folder / "photos.parquet", CLASSES, entries(count, split))
    return folder / "photos.parquet"


@given(st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=1, max_size=60), st.integers(1, 70), st.randoms())
def test_a_sample_is_drawn_by_class_and_does_not_depend_on_the_order(tags: Any, most: int, random: Any) -> None:
    rows = [Row(f"{n}", f"{n}", tuple(sorted(one)), False, f"{n}") for n, one in enumerate(tags)]
    found = draw(rows, most)
    mixed = [*rows]
    random.shuffle(mixed)
    assert draw(mixed, most) == found
    classes = {tag for one in tags for tag in (one or {-1})}
    assert len(found) <= max(most, len(classes)) and len(found) == len({one.name for one in found})
    if most >= len(rows):
        assert {one.name for one in found} == {one.name for one in rows}
    have = {tag for one in found for tag in (one.tags or (-1,))}
    assert have == classes


def test_by_default_each_class_gives_200_photographs(tmp_path: Path) -> None:
    found = drawn(Manifest.open(written(tmp_path, 1600), None), None)
    counts = [sum(tag in one.tags for one in found.samples) for tag in (1, 2)]
    assert min(counts) >= 200 and len(found.samples) <= 600 and sum(not one.tags for one in found.samples) == 200


@pytest.mark.parametrize("split", [None, "train"])
def test_units_cover_each_row_once_in_order(tmp_path: Path, split: str | None) -> None:
    manifest = Manifest.open(written(tmp_path, 25_000, "train"), split)
    units = Units(64).run(manifest)
    assert [one.number for one in units] == [*range(len(units))] and {one.rows for one in units[:-1]} == {64}
    reader = UnitReader(manifest)
    names = [name for unit in units[150:160] for name, one in reader.read(unit) if not isinstance(one, Problem)]
    wanted = [one.id for one in entries(25_000, "train") if split is None or one.split == split]
    assert names == wanted[150 * 64 : 160 * 64] and sum(one.rows for one in units) == len(wanted)


def test_two_rows_with_one_id_are_refused_with_both_rows(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    write_manifest(path, CLASSES, [Entry(name, f"{name}.jpg", ("cat",)) for name in ("a", "b", "c", "A")])
    with pytest.raises(DataError, match="'A' of row 4 is also in row 1"):
        Units(64).run(Manifest.open(path, None))


def test_a_wrong_row_is_a_problem_with_its_id(tmp_path: Path) -> None:
    path = tmp_path / "photos.parquet"
    write_manifest(path, CLASSES, [Entry("a", "a.jpg", ("cat",)), Entry("b", "b.jpg", ("bird",))])
    manifest = Manifest.open(path, None)
    (unit,) = Units(64).run(manifest)
    (first, good), (second, bad) = UnitReader(manifest).read(unit)
    assert (first, second) == ("a", "b") and isinstance(good, Row) and isinstance(bad, Problem) and "bird" in bad.reason


def test_a_worker_with_another_version_or_other_files_is_refused(tmp_path: Path) -> None:
    import dhr

    manifest, config = Manifest.open(written(tmp_path, 2), None), run_settings({})[0]
    (tmp_path / "classifier.safetensors").write_bytes(b"weights")
    digests = {"classifier.safetensors": digest_regular(tmp_path / "classifier.safetensors")}
    record = RunRecord(Identity(dhr.__version__))
    work = FittedWork(tmp_path, config, manifest, record, digests, frozenset())
    check(work)
    with pytest.raises(ConfigError, match="install the same version"):
        check(replace(work, record=RunRecord(Identity("0.0.1"))))
    (tmp_path / "classifier.safetensors").write_bytes(b"others")
    with pytest.raises(OutputError, match="has another"):
        check(work)
    (tmp_path / "classifier.safetensors").unlink()
    with pytest.raises(OutputError, match="cannot read"):
        check(work)


def test_settings_that_rows_cannot_hold_are_refused(tmp_path: Path) -> None:
    files = {"wss.kind": "files", "wss.maps": tmp_path}
    for given_settings in ({"doubtful": 0.5}, {"recursion": True}, {"features": tmp_path}, files):
        with pytest.raises(ConfigError, match="leave"):
            engine_config(run_settings(given_settings)[0])
    with pytest.raises(ConfigError, match="add --engine ray"):
        RunEngine(workers=2)
    with pytest.raises(ConfigError, match="1 or more"):
        RunEngine("ray", fit_on=0)


def test_groups_are_smaller_on_a_cpu() -> None:
    assert group_size(torch.device("cpu")) < group_size(torch.device("cuda"))
