"""Decisions of a person are saved whole or not at all, in order, and only in the folder of their run."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.corrections import ConflictError, Correction, Corrections
from dhr.corrections.places import ITEMS, LOCK, MACHINE, MASKS
from dhr.data.images import read_mask, write_mask
from dhr.data.palette import palette
from dhr.errors import DhrError, OutputError, ShapeError
from dhr.files import write_json
from dhr.locks import hold
from dhr.records.item import ItemRecord
from dhr.records.members import to_json
from dhr.shards import in_shard


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut is not tested."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


CLASSES = ("background", "cat", "dog", "sky")
DIGEST = "5" * 64
MACHINES = np.full((4, 6), 1, np.uint8)
COLOURS = palette()


def drawn(seed: int) -> np.ndarray:
    """A mask that a person drew."""
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (4, 6))


def decision(state: Any = "mended", **more: Any) -> Correction:
    return Correction(state, DIGEST, ("cat",), ("cat", "dog"), {"background": 0, "cat": 1, "dog": 2}, **more)


def run_folder(root: Path, name: str = "a", shards: bool = False) -> Corrections:
    """The folder of a run with one mask of the machine."""
    write_json(root / "run.json", {"identity": {}, "classes": CLASSES, "background": True, "shards": shards})
    place = in_shard(name) if shards else name
    write_mask(root / "masks" / f"{place}.png", MACHINES)
    found = Corrections.of(root)
    item = ItemRecord(DIGEST, 6, 4, ("cat",), mask=found.places.digest("masks", name))
    write_json(root / "items" / f"{place}.json", to_json(item))
    return found


def shown(root: Path, name: str = "a") -> np.ndarray:
    """The mask that training and export see."""
    return read_mask(Corrections.of(root).places.path("masks", name))


@pytest.mark.parametrize("shards", [False, True])
def test_a_correction_comes_back_and_is_published(tmp_path: Path, shards: bool) -> None:
    store = run_folder(tmp_path, "trip/a", shards)
    assert store.read("trip/a") is None and [*store.names()] == []
    mask = drawn(1)
    saved = store.save("trip/a", decision(), mask, COLOURS, expected=0)
    assert saved.revision == 1 and saved == store.read("trip/a") and [*store.names()] == ["trip/a"]
    assert (store.mask("trip/a") == mask).all() and (shown(tmp_path, "trip/a") == mask).all()
    assert (read_mask(store.machine("trip/a")) == MACHINES).all()
    assert saved.machine == store.places.digest(MACHINE, "trip/a")
    assert (tmp_path / "corrections" / "classes.txt").read_text().split() == [*CLASSES]
    assert bool(list((tmp_path / "corrections" / "masks").glob("shard-*"))) == shards
    store.withdraw("trip/a", expected=1)
    assert store.read("trip/a") is None and (shown(tmp_path, "trip/a") == MACHINES).all()
    assert not store.places.has(MACHINE, "trip/a") and (store.machine("trip/a") == store.places.path("masks", "trip/a"))
    (aside,) = (tmp_path / "gone").rglob("a.png")
    assert (read_mask(aside) == mask).all()


STATES = st.sampled_from(["accepted", "mended", "rejected", "skipped", "withdrawn"])


@given(st.lists(st.tuples(STATES, st.integers(0, 9), st.sampled_from([0, 0, 0, 1, -1])), max_size=8))
@settings(max_examples=25)
def test_any_series_of_decisions(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, int, int]]) -> None:
    root = tmp_path_factory.mktemp("run")
    store, state, mask, revision, highest = run_folder(root), None, None, 0, 0
    for wanted, seed, wrong in steps:
        if wrong:  # another page saved in between
            with pytest.raises(ConflictError) as error:
                store.save("a", decision("mended"), drawn(seed), COLOURS, expected=revision + wrong)
            assert error.value.revision == revision
            continue
        if wanted == "withdrawn":
            store.withdraw("a", expected=revision)
            state, mask, revision = None, None, 0
        else:
            new = drawn(seed) if wanted in ("accepted", "mended") else None
            saved = store.save("a", decision(wanted), new, COLOURS, expected=revision)
            assert saved.revision > highest
            state, mask, highest = wanted, mask if new is None else new, saved.revision
            revision = saved.revision
        record = store.read("a")
        assert (record.state if record else None) == state and (record.revision if record else 0) == revision
        assert (read_mask(store.machine("a")) == MACHINES).all()
        if mask is not None:
            assert (store.mask("a") == mask).all()
        seen = MACHINES if state in (None, "skipped") or mask is None else mask
        assert (shown(root) == seen).all()


class _Killed(BaseException):
    """As SIGKILL: nothing after it happens."""


def _kill_before(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before the change of a file with this number: each becomes visible by a rename or a deletion."""
    count = 0

    def counted(real: Any) -> Any:
        def change(*arguments: Any, **more: Any) -> Any:
            nonlocal count
            if count >= number:
                raise _Killed
            count += 1
            return real(*arguments, **more)

        return change

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, "mended"), ("mended", "mended"), ("mended", "skipped"), ("mended", "withdrawn"), ("rejected", "mended")],
)
def test_a_kill_at_any_write_leaves_the_old_correction_or_the_new_one(before: Any, after: Any, tmp_path: Path) -> None:
    old, new = drawn(1), drawn(2)
    for number in range(30):
        root = tmp_path / str(number)
        store, revision = run_folder(root), 0
        if before is not None:
            revision = store.save("a", decision("mended"), old, COLOURS, expected=0).revision
            revision = store.save("a", decision(before), old, COLOURS, expected=revision).revision
        kept = store.read("a")
        with pytest.MonkeyPatch.context() as patch:
            _kill_before(number, patch)
            try:
                if after == "withdrawn":
                    store.withdraw("a", expected=revision)
                else:
                    store.save("a", decision(after), new if after == "mended" else None, COLOURS, expected=revision)
                ended = True
            except _Killed:
                ended = False
        found = Corrections.of(root).read("a")
        if found is not None and found.mask:
            mask = Corrections.of(root).mask("a")
            assert (mask == (old if kept is not None and found.mask == kept.mask else new)).all()
        assert found == kept or (found.state if found else "withdrawn") == after
        assert (read_mask(store.machine("a")) == MACHINES).all()
        again = store.save("a", decision(), new, COLOURS, expected=found.revision if found else 0)
        assert again.revision > revision and (store.mask("a") == new).all() and (shown(root) == new).all()
        store.withdraw("a", expected=again.revision)
        assert (shown(root) == MACHINES).all()
        if ended:
            assert number > 2
            return
    raise AssertionError("more writes than expected")


SAVER = """
import sys
from pathlib import Path
import numpy as np
from dhr.corrections import ConflictError, Correction, Corrections
from dhr.data.palette import palette
store, value, left = Corrections.of(Path(sys.argv[1])), int(sys.argv[2]), 15
while left:
    seen = store.read("a")
    revision = 0 if seen is None else seen.revision
    made = Correction("mended", "5" * 64, labels={"cat": 1, "dog": 2})
    try:
        store.save("a", made, np.full((4, 6), value, np.uint8), palette(), expected=revision)
        left -= 1
    except ConflictError:
        pass
    if seen is not None:
        assert len(set(store.mask("a").ravel().tolist())) == 1
"""


def test_two_processes_that_save_at_once(tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    calls = [subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path), value]) for value in ("1", "2")]
    assert [call.wait(60) for call in calls] == [0, 0]
    record = store.read("a")
    assert record is not None and record.revision == 30
    assert (shown(tmp_path) == store.mask("a")).all()
    assert {path.name for path in (tmp_path / "corrections" / "masks").iterdir()} == {"a.png"}


def test_nothing_is_published_while_a_job_works(tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    job = hold(tmp_path, "run.lock")
    store.save("a", decision(), drawn(1), COLOURS, expected=0)
    assert (shown(tmp_path) == MACHINES).all() and not store.places.has(MACHINE, "a")
    with pytest.raises(OutputError, match="a job works in"):
        store.withdraw("a", expected=1)
    with pytest.raises(OutputError, match="another process is writing"):  # the save has not let go of the job's lock
        hold(tmp_path, "run.lock")
    job.close()
    store.save("a", decision(), drawn(2), COLOURS, expected=1)
    assert (shown(tmp_path) == drawn(2)).all() and (read_mask(store.machine("a")) == MACHINES).all()


def test_a_mask_that_another_program_changed_is_not_taken_for_the_machines(tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    machine = store.places.digest("masks", "a")
    write_mask(store.places.path("masks", "a"), drawn(3), COLOURS)
    saved = store.save("a", decision(), drawn(3), COLOURS, expected=0)
    assert saved.machine == machine and not store.places.has(MACHINE, "a")
    store.withdraw("a", expected=1)
    assert not store.places.has("masks", "a") and not store.places.has("items", "a", ".json")  # it is made again


def test_a_mask_that_another_program_wrote_over_a_correction_is_not_lost(tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    store.save("a", decision(), drawn(1), COLOURS, expected=0)
    store.save("a", decision(), drawn(2), COLOURS, expected=1, stroke=True)
    assert not (tmp_path / "gone").exists()
    write_mask(store.places.path("masks", "a"), drawn(3), COLOURS)
    store.save("a", decision(), drawn(4), COLOURS, expected=2)
    assert (read_mask(tmp_path / "gone" / "masks" / "a.png") == drawn(3)).all() and (shown(tmp_path) == drawn(4)).all()
    write_mask(store.places.path("masks", "a"), drawn(5), COLOURS)
    store.withdraw("a", expected=3)
    aside = tmp_path / "gone" / "2" / "masks" / "a.png"
    assert (read_mask(aside) == drawn(5)).all() and (shown(tmp_path) == MACHINES).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7))
@settings(max_examples=20)
def test_a_mask_that_is_replaced_is_kept_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    """Only the steps of one drawing are not: each has replaced the mask of the step before."""
    root = tmp_path_factory.mktemp("run")
    store, present, kept = run_folder(root), None, set[int]()
    for revision, (seed, stroke) in enumerate(steps):
        store.save("a", decision(), drawn(seed), COLOURS, expected=revision, stroke=stroke)
        if present not in (None, seed) and not stroke:
            kept.add(present)
        present = seed
    found = [*(root / "gone").rglob("a.png")]
    assert sorted(read_mask(one).tobytes() for one in found) == sorted(drawn(seed).tobytes() for seed in kept)
    assert all(len(one.relative_to(root).parts) <= 5 and one.parts[-3:-1] == ("corrections", "masks") for one in found)


@pytest.mark.parametrize("state", ["rejected", "skipped"])
def test_a_mask_is_kept_with_its_labels_when_its_decision_changes(state: Any, tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    store.save("a", decision(), drawn(1), COLOURS, expected=0)
    store.save("a", Correction(state, DIGEST, ("cat",), ("cat",), {"cat": 1}), None, COLOURS, expected=1)
    assert (store.mask("a") == drawn(1)).all()


@pytest.mark.parametrize("change", [{"digest": "6" * 64}, {"given": ("dog",)}, {"labels": {"cat": 2, "dog": 1}}])
def test_the_mask_of_an_outdated_correction_is_put_aside(change: dict[str, Any], tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    store.save("a", decision(), drawn(1), COLOURS, expected=0)
    write_mask(store.places.path("masks", "a"), MACHINES, COLOURS)  # as a run leaves it
    store.save("a", replace(decision("rejected"), **change), None, COLOURS, expected=1)
    assert (shown(tmp_path) == MACHINES).all()
    assert (read_mask(tmp_path / "gone" / MASKS / "a.png") == drawn(1)).all()


def test_decisions_that_cannot_be_are_refused(tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    for made, mask in (
        (decision(), None),
        (decision(), np.full((4, 6), 3, np.uint8)),
        (replace(decision(), labels={"cat": 1, "dog": 1}), drawn(1)),
        (replace(decision(), labels={"cat": 1}), drawn(1)),
        (replace(decision(), digest="../../etc"), drawn(1)),
    ):
        with pytest.raises(ShapeError) as error:
            store.save("a", made, mask, COLOURS, expected=0)
        assert len(str(error.value).splitlines()) == 1
    for name in ("../a", "a/../../b", "x\0"):
        with pytest.raises(DhrError):
            store.save(name, decision(), drawn(1), COLOURS, expected=0)
        with pytest.raises(DhrError):
            store.read(name)
    assert not list((tmp_path / "corrections").rglob("*.png")) and store.read("a") is None


DAMAGE: list[tuple[str, dict[str, Any]]] = [
    ("state", {"state": "deleted"}),
    ("digest", {"digest": "x"}),
    ("labels", {"labels": {"cat": 1, "dog": 1}}),
    ("labels", {"labels": {"cat": 300}}),
    ("labels", {"labels": {}}),
    ("revision", {"revision": -1}),
    ("version", {"version": 9}),
]


@pytest.mark.parametrize(("member", "change"), DAMAGE)
def test_damaged_records_are_refused(member: str, change: dict[str, Any], tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    store.save("a", decision(), drawn(1), COLOURS, expected=0)
    path = store.places.path(ITEMS, "a", ".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(OutputError, match=rf"a\.json is damaged \(.*{member}") as error:
        store.read("a")
    assert len(str(error.value).splitlines()) == 1


def test_a_mask_of_another_record_is_refused(tmp_path: Path) -> None:
    store = run_folder(tmp_path)
    store.save("a", decision(), drawn(1), COLOURS, expected=0)
    path = store.places.path(MASKS, "a")
    write_mask(path, drawn(2), COLOURS)
    with pytest.raises(OutputError, match="not the mask of its record"):
        store.mask("a")
    path.unlink()
    with pytest.raises(OutputError, match="not the mask of its record"):
        store.mask("a")


@pytest.mark.parametrize("part", ["corrections", ITEMS, MASKS, MACHINE, f"{ITEMS}/a.json", "masks/a.png", LOCK])
def test_links_are_not_followed(part: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "deep").mkdir(parents=True)
    (other / "a.json").write_text("precious")
    store = run_folder(tmp_path / "run")
    link = tmp_path / "run" / part
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(other / "a.json" if link.suffix or part == LOCK else other, target_is_directory=not link.suffix)
    with pytest.raises(OutputError, match=r"link"):
        store.save("a", decision(), drawn(1), COLOURS, expected=0)
    assert {path.name for path in other.rglob("*")} == {"a.json", "deep"} and (
        other / "a.json"
    ).read_text() == "precious"
