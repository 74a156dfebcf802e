"""Files of units, joined to larger ones: whatever fails, is made later or is killed, each photograph has one mask."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from dhr.data.samples import ClassTable
from dhr.engine import join as joining
from dhr.engine.held import Held, held
from dhr.engine.join import join, neighbours
from dhr.engine.known import KnownRows
from dhr.engine.manifest import Unit
from dhr.engine.part import part_path
from dhr.errors import OutputError
from dhr.records.item import ItemRecord, table_key
from dhr.results.names import PartName, covered
from dhr.results.places import part_names, parts_in
from dhr.results.row import Row
from dhr.results.rows import RowMasks

CLASSES = ClassTable(("background", "cat"), True)
SIZE = 3
UNITS = [Unit(number, number * SIZE, number * SIZE + SIZE, SIZE) for number in range(5)]
NAMES = [f"p{number:02d}" for number in range(len(UNITS) * SIZE)]
parts = st.builds(
    lambda layer, first, more: PartName(layer, first, first + more),
    st.integers(1, 3), st.integers(0, 40), st.integers(0, 9),
)  # fmt: skip


class Killed(BaseException):
    """Stands for a SIGKILL."""


def made(name: str, call: int, fails: bool) -> Row:
    if fails:
        return Row(name, "s", reason=f"failed in call {call}")
    content = f"mask of {name}".encode()
    record = ItemRecord("0" * 64, 4, 3, ("cat",), {"cat": 0.5}, mask=hashlib.sha256(content).hexdigest())
    return Row(name, "s", replace(record, table=table_key(CLASSES.names, True)), content)


def call(out: Path, number: int, failing: set[str], units: Sequence[Unit] = UNITS) -> None:
    """Do what a job does, without networks: make what is missing, then join."""
    for one in held(out, UNITS, "s"):
        if not one.whole and one.unit in units:
            make(out, one, number, failing)
    if len(units) == len(UNITS):
        for group in neighbours(out):
            join(out, group)


def make(out: Path, one: Held, number: int, failing: set[str]) -> None:
    there = KnownRows.read(out, one, "s")
    kept = {row.id: row for row in there.rows if row.record is not None}
    names = NAMES[one.unit.start : one.unit.stop]
    there.write([kept.get(name) or made(name, number, name in failing) for name in names], CLASSES, "s")


def masks(out: Path) -> dict[str, bytes]:
    """Return the masks that a reader finds; two of a photograph would be a problem."""
    rows = RowMasks(out / "rows")
    assert not rows.problems
    return {row.id: row.mask for row in rows.rows() if isinstance(row, Row) and row.mask is not None}


def all_masks(out: Path) -> bool:
    return masks(out) == {name: made(name, 0, False).mask for name in NAMES}


@given(st.lists(parts, max_size=12, unique=True))
def test_a_file_is_hidden_if_another_one_covers_it(names: list[PartName]) -> None:
    assert all(PartName.of(str(one)) == one for one in names)
    wanted = {str(one) for one in names if any(other.covers(one) for other in names)}
    assert covered([*map(str, names), "part-00000.parquet", "mine.parquet"]) == wanted


@pytest.mark.parametrize("name", ["part-00000.parquet", "part1-000000.parquet", "part-000003-000003.parquet", "x", ""])
def test_other_names_are_not_those_of_a_job(name: str) -> None:
    assert PartName.of(name) is None


def test_joined_files_are_as_large_as_they_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(tmp_path, 1, set(), UNITS[:-1])
    size = max(path.stat().st_size for path in parts_in(tmp_path / "rows"))
    monkeypatch.setattr(joining, "LARGEST", 2 * size)
    call(tmp_path, 2, set())
    names = ["part-000000-000001", "part-000002-000003", "part-000004"]
    assert part_names(tmp_path / "rows") == [f"{name}.parquet" for name in names] and all_masks(tmp_path)
    metadata = pq.ParquetFile(tmp_path / "rows" / f"{names[0]}.parquet").metadata
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [SIZE, SIZE]


def test_photographs_that_have_a_mask_later_do_not_change_a_joined_file(tmp_path: Path) -> None:
    failing = {NAMES[0], NAMES[1], NAMES[-1]}
    call(tmp_path, 1, failing)
    (whole,) = parts_in(tmp_path / "rows")
    before, rows = whole.read_bytes(), RowMasks(tmp_path / "rows")
    assert masks(tmp_path).keys() == {*NAMES} - failing and {one.source for one in rows.failures()} == failing
    call(tmp_path, 2, {NAMES[0]})
    assert part_names(tmp_path / "rows") == [whole.name, "part2-000000-000004.parquet"]
    call(tmp_path, 3, set())
    assert part_names(tmp_path / "rows") == [whole.name, "part2-000000-000004.parquet", "part3-000000.parquet"]
    assert whole.read_bytes() == before and all_masks(tmp_path) and not [*RowMasks(tmp_path / "rows").failures()]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(UNITS)), st.integers(0, 8)), max_size=4)
)
def test_each_photograph_has_one_mask_whatever_fails_and_is_killed(
    tmp_path_factory: pytest.TempPathFactory, calls: Any
) -> None:
    """Each call makes some units, or all and joins them; it is killed at a file that it deletes."""
    out = tmp_path_factory.mktemp("out")
    known = set[str]()
    for number, (failing, some, most) in enumerate(calls):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(joining, "remove", killed_after(most))
            with suppress(Killed):
                call(out, number, failing, UNITS if len(some) < 3 else [*some])
        found = masks(out).keys() if has_mask(out) else set()
        assert known <= {*found}
        known = {*found}
    call(out, 99, set())
    assert all_masks(out)
    before = [path.read_bytes() for path in parts_in(out / "rows")]
    call(out, 100, set())
    assert [path.read_bytes() for path in parts_in(out / "rows")] == before
    assert len(part_names(out / "rows")) == len(before)
    shutil.rmtree(out)


def has_mask(out: Path) -> bool:
    columns = [pq.read_table(path, columns=["mask"])["mask"] for path in parts_in(out / "rows")]
    return any(one.null_count < len(one) for one in columns)


def killed_after(most: int) -> Any:
    from dhr.files import remove

    left: Iterator[int] = iter(range(most))

    def one(*place: Any) -> None:
        if next(left, None) is None:
            raise Killed
        remove(*place)

    return one


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def test_a_damaged_file_of_a_unit_is_made_again_and_a_damaged_joined_one_is_refused(tmp_path: Path) -> None:
    call(tmp_path, 1, set(), UNITS[:-1])
    spoil(part_path(tmp_path, PartName(1, 2, 2)))
    call(tmp_path, 2, set())
    assert all_masks(tmp_path)
    (whole,) = parts_in(tmp_path / "rows")
    spoil(whole)
    with pytest.raises(OutputError, match=r"part-000000-000004.parquet: it is damaged.*delete it and continue the run"):
        call(tmp_path, 3, set())
    whole.unlink()
    call(tmp_path, 4, set())
    assert all_masks(tmp_path)


def test_a_joined_file_of_another_run_is_refused(tmp_path: Path) -> None:
    call(tmp_path, 1, set())
    with pytest.raises(OutputError, match="rows are those of another run"):
        held(tmp_path, UNITS, "other")
    with pytest.raises(OutputError, match="units are not those of the manifest"):
        held(tmp_path, UNITS[:3], "s")
    (whole,) = parts_in(tmp_path / "rows")
    whole.rename(whole.with_name("part-000000-000009.parquet"))
    with pytest.raises(OutputError, match="name is not that of its units"):
        held(tmp_path, UNITS, "s")


@pytest.mark.parametrize("content", [b"junk", None])
def test_a_joined_file_that_cannot_be_used_deletes_nothing(tmp_path: Path, content: bytes | None) -> None:
    """Its name alone says that it has the rows of all units: it is damaged, or one of another run."""
    call(tmp_path / "other", 1, set())
    (whole,) = parts_in(tmp_path / "other" / "rows")
    call(tmp_path, 1, set(), UNITS[:-1])
    before = part_names(tmp_path / "rows")
    target = tmp_path / "rows" / "part-000000-000009.parquet"
    target.write_bytes(content or whole.read_bytes())
    with pytest.raises(OutputError, match="part-000000-000009"):
        held(tmp_path, UNITS, "s")
    assert {*part_names(tmp_path / "rows")} == {*before, target.name}
    target.unlink()
    call(tmp_path, 2, set())
    assert all_masks(tmp_path)


def test_parts_that_a_joined_file_does_not_hold_are_not_deleted(tmp_path: Path) -> None:
    call(tmp_path, 1, set(), UNITS[:-1])
    names = [PartName(1, one.number, one.number) for one in UNITS[:-1]]
    join(tmp_path, names[:2])
    place = part_path(tmp_path, PartName(1, 0, 3))
    part_path(tmp_path, PartName(1, 0, 1)).rename(place)
    with pytest.raises(OutputError, match="does not hold the rows of part-000002"):
        join(tmp_path, names)
    assert part_path(tmp_path, names[2]).is_file()


def test_joined_files_that_lost_the_rows_of_a_deleted_one_are_completed(tmp_path: Path) -> None:
    call(tmp_path, 1, {NAMES[0]})
    call(tmp_path, 2, set())
    part_path(tmp_path, PartName(1, 0, 4)).unlink()
    call(tmp_path, 3, set())
    assert all_masks(tmp_path)
