"""Runs with Ray: the masks of `dhr run`, whatever is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

if find_spec("ray") is None:  # imported here, it would not see how a local cluster is set up
    pytest.skip("needs ray", allow_module_level=True)

import pyarrow.parquet as pq

from dhr.data import open_data
from dhr.data.manifest import Entry, write_manifest
from dhr.results.rows import RowMasks

from .whole_rows import rows_in

pytestmark = pytest.mark.xdist_group("ray")  # one cluster, in one process of pytest

TINY = (
    *("--wss.backbone", "test_resnet", "--wss.weights", "none", "--wss.scales", "[1.0]"),
    *("--classifier.epochs", "1", "--classifier.batch", "3", "--classifier.crop", "32"),
    *("--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]", "--no-stages"),
)
UNIT = 8
COUNT = 20
SMALL_UNITS = f"import dhr.engine.run, dhr.job.survey; dhr.engine.run.group_size = lambda device: {UNIT}"


def manifest(data: Path, *more: Entry) -> Path:
    """Write the manifest of a data folder of scenes."""
    found = open_data(data)
    names = found.classes.names
    tags = {one.name: tuple(names[tag] for tag in one.tags) for one in found.samples}
    entries = [Entry(name, f"images/{name}.png", some, truth=f"truth/{name}.png") for name, some in tags.items()]
    write_manifest(data / "photos.parquet", found.classes, sorted([*entries, *more], key=lambda one: one.id))
    return data / "photos.parquet"


def command(data: Path, out: Path, *more: str) -> list[str]:
    return ["run", "--data", str(data), "--out", str(out), *TINY, *more]


@pytest.fixture(scope="module")
def made(cluster: str, scenes: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A manifest, and a finished run of it with an engine."""
    from dhr.cli import main

    root = tmp_path_factory.mktemp("engine")
    data = manifest(scenes(root / "data", COUNT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dhr.engine.run.group_size", lambda device: UNIT)
        patch.setattr("dhr.job.survey.group_size", lambda device: UNIT)
        assert main(command(data, root / "out", "--engine", "ray")) == 0
    return data, root / "out"


def fitted(out: Path, target: Path) -> None:
    """Copy what was fitted, without any row."""
    shutil.copytree(out, target, ignore=shutil.ignore_patterns("rows"))
    record = json.loads((target / "run.json").read_text())
    (target / "run.json").write_text(json.dumps({**record, "status": "running"}))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As many threads as the task has that fits the networks; the last bits of sums depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_masks_are_those_of_a_run_without_an_engine(
    made: tuple[Path, Path], small_units: None, two_threads: None, dhr: Any, tmp_path: Path
) -> None:
    data, out = made
    plain = tmp_path / "plain"
    assert dhr(command(data, plain)).code == 0
    assert (out / "survey.safetensors").read_bytes() == (plain / "survey.safetensors").read_bytes()
    rows = rows_in(out)
    assert len(rows) == COUNT and [path.name for path in (out / "rows").iterdir()] == ["part-000000-000002.parquet"]
    for name, row in rows.items():
        assert row.mask == (plain / "masks" / f"{name}.png").read_bytes(), name
        item = json.loads((plain / "items" / f"{name}.json").read_text())
        assert row.record is not None and row.record.quality == item["quality"] and row.record.ratios == item["ratios"]
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished" and record["rows"] and record["counts"]["masks"] == COUNT


def test_a_photograph_that_fails_is_a_row_with_its_reason_and_is_tried_again(
    cluster: str, small_units: None, scenes: Any, dhr: Any, tmp_path: Path
) -> None:
    folder, out = scenes(tmp_path / "data", 6), tmp_path / "out"
    tag = open_data(folder).classes.names[0]
    call = command(manifest(folder, Entry("gone", "images/gone.png", (tag,))), out, "--engine", "ray")
    ended = dhr(call)
    assert ended.code == 1 and "gone" in ended.out, ended.err
    rows = rows_in(out)
    assert len(rows) == 7 and rows["gone"].mask is None and rows["gone"].reason
    before = (out / "rows" / "part-000000.parquet").stat()
    assert dhr(call).code == 1
    assert (out / "rows" / "part-000000.parquet").stat().st_mtime_ns == before.st_mtime_ns  # nothing was made again
    shutil.copy(next((folder / "images").glob("*.png")), folder / "images" / "gone.png")
    ended = dhr(call)
    assert ended.code == 0, ended.err
    again = rows_in(out)
    assert again.pop("gone").mask is not None and again == {name: row for name, row in rows.items() if name != "gone"}


def same_masks(out: Path, other: Path) -> None:
    rows, wanted = rows_in(out), rows_in(other)
    assert rows.keys() == wanted.keys() and all(
        row.mask and row.mask == wanted[name].mask for name, row in rows.items()
    )


def test_a_driver_that_is_killed_goes_on(
    made: tuple[Path, Path], cluster: str, small_units: None, dhr: Any, tmp_path: Path
) -> None:
    data, whole = made
    out = tmp_path / "out"
    fitted(whole, out)
    call = command(data, out, "--engine", "ray", "--workers", "1", "--address", cluster)
    text = f"{SMALL_UNITS}; import sys; from dhr.cli import main; sys.exit(main({call!r}))"
    with subprocess.Popen([sys.executable, "-c", text], env={**os.environ, "RAY_AUTH_MODE": "token"}) as driver:
        while driver.poll() is None and not [*(out / "rows").glob("part-*.parquet")]:
            time.sleep(0.01)
        driver.send_signal(signal.SIGKILL)
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    assert dhr(command(data, out, "--engine", "ray")).code == 0
    same_masks(out, whole)


def test_a_worker_that_is_killed_is_replaced(
    made: tuple[Path, Path], cluster: str, small_units: None, dhr: Any, tmp_path: Path
) -> None:
    data, whole = made
    out = tmp_path / "out"
    fitted(whole, out)
    ended = threading.Event()
    killed = list[int]()

    def kill() -> None:
        """Kill a worker, as soon as there is a row."""
        while not ended.is_set() and not killed:
            if [*(out / "rows").glob("part-*.parquet")]:
                killed.extend(workers(cluster))
                for one in killed:
                    with suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)
            ended.wait(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        assert dhr(command(data, out, "--engine", "ray", "--workers", "1")).code == 0
    finally:
        ended.set()
        thread.join()
    assert killed
    same_masks(out, whole)


def workers(address: str) -> list[int]:
    """Return the processes of workers of the cluster at an address."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and b"MapWorker(MapBatches(Guarded))" in (folder / "cmdline").read_bytes():
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if address.encode() in (folder.parent / parent / "cmdline").read_bytes():  # the raylet
                    found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_a_cluster_that_is_killed_ends_the_command_which_goes_on(
    made: tuple[Path, Path], cluster: str, small_units: int, dhr: Any, below: Any, tmp_path: Path
) -> None:
    data, whole = made
    out = tmp_path / "out"
    fitted(whole, out)
    call = command(data, out, "--engine", "ray", "--workers", "1")
    text = f"{SMALL_UNITS}; import sys; from dhr.cli import main; sys.exit(main({call!r}))"
    with subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE) as driver:
        while driver.poll() is None and not [*(out / "rows").glob("part-*.parquet")]:
            time.sleep(0.01)
        for one in below(driver.pid):
            with suppress(ProcessLookupError):
                os.kill(one.number, signal.SIGKILL)
        _, told = driver.communicate()
    assert driver.returncode != 0, told
    assert dhr(command(data, out, "--engine", "ray")).code == 0
    same_masks(out, whole)


@pytest.mark.slow
def test_a_photograph_that_kills_its_reader_is_a_row_with_its_reason(
    made: tuple[Path, Path], cluster: str, small_units: int, deadly: Any, dhr: Any, tmp_path: Path
) -> None:
    data, whole = made
    out, name = tmp_path / "out", open_data(data).samples[3].name
    fitted(whole, out)
    mark = deadly(f"{name}.png")
    ended = dhr(command(data, out, "--engine", "ray"))
    assert ended.code == 1 and f"{name}: the worker ended twice by itself" in ended.out, ended
    rows, wanted = rows_in(out), rows_in(whole)
    assert rows[name].reason and rows.keys() == wanted.keys()
    assert all(row.mask == wanted[other].mask for other, row in rows.items() if other != name)
    mark.unlink()
    assert dhr(command(data, out, "--engine", "ray")).code == 0
    names = sorted(path.name for path in (out / "rows").iterdir())
    assert names == ["part-000000-000002.parquet", "part2-000000.parquet"]
    found = RowMasks(out / "rows")
    assert not found.problems and {one: found.row(one).mask for one in wanted} == {
        one: row.mask for one, row in wanted.items()
    }


@pytest.mark.slow
def test_a_photograph_that_kills_the_reader_of_the_sample_is_left_out_of_it(
    made: tuple[Path, Path], cluster: str, small_units: int, deadly: Any, dhr: Any, tmp_path: Path
) -> None:
    name = open_data(made[0]).samples[-1].name
    deadly(f"{Path(name).name}.png")
    ended = dhr(command(made[0], tmp_path / "out", "--engine", "ray"))
    assert ended.code == 1 and f"learned from {COUNT - 1} photographs" in ended.out, ended
    assert [row.id for row in rows_in(tmp_path / "out").values() if row.mask is None] == [name]


@pytest.mark.slow
def test_photographs_of_a_bucket_and_bad_rows_are_masks_or_named_reasons(
    cluster: str, small_units: int, store: Any, scenes: Any, dhr: Any, tmp_path: Path
) -> None:
    folder, out = scenes(tmp_path / "data", 16), tmp_path / "out"
    for bucket in ("photos", "private"):
        store.client.create_bucket(Bucket=bucket)
    found = open_data(folder)
    names, entries = found.classes.names, list[Entry]()
    for one in found.samples:
        store.client.upload_file(str(folder / "images" / f"{one.name}.png"), "photos", f"{one.name}.png")
        entries.append(Entry(one.name, f"s3://photos/{one.name}.png", tuple(names[tag] for tag in one.tags)))
    bad = {
        "gone": ("s3://photos/gone.png", names[1], "there is no such file"),
        "closed": ("s3://private/a.png", names[1], "no access; check the account"),
        "../up": ("s3://photos/up.png", names[1], "id"),
        "a\\b": ("s3://photos/b.png", names[1], "id"),
        "unknown": ("s3://photos/c.png", "bird", "'bird'"),
    }
    entries += [Entry(name, uri, (tag,)) for name, (uri, tag, _) in bad.items()]
    write_manifest(folder / "photos.parquet", found.classes, sorted(entries, key=lambda one: one.id))
    ended = dhr(command(folder / "photos.parquet", out, "--engine", "ray"))
    assert ended.code == 1 and "hidden" not in ended.out + ended.err, ended
    rows, listed = rows_in(out), json.loads((out / "run.json").read_text())["skipped"]
    assert {one["source"]: one["reason"] for one in listed} == {name: rows[name].reason for name in bad}
    assert {name for name, row in rows.items() if row.mask is None} == {*bad} and len(rows) == 16 + len(bad)
    for name, (_, _, words) in bad.items():
        assert words in str(rows[name].reason) and "\n" not in str(rows[name].reason), rows[name]
    assert store.refused > 1


def without_column(path: Path, entries: list[Entry], classes: Any) -> str:
    write_manifest(path, classes, entries)
    table = pq.read_table(path)
    pq.write_table(table.drop(["uri"]), path)
    return "uri"


def with_an_id_twice(path: Path, entries: list[Entry], classes: Any) -> str:
    write_manifest(path, classes, [*entries, entries[0]])
    return f"the id {entries[0].id!r} of row {len(entries) + 1} is also in row 1"


@pytest.mark.parametrize("spoil", [without_column, with_an_id_twice])
def test_a_wrong_manifest_is_refused_before_anything_is_fitted(
    cluster: str, scenes: Any, dhr: Any, tmp_path: Path, spoil: Any
) -> None:
    data = scenes(tmp_path / "data", 4)
    found = open_data(data)
    entries = [Entry(one.name, f"images/{one.name}.png", (found.classes.names[1],)) for one in found.samples]
    words = spoil(data / "photos.parquet", entries, found.classes)
    ended = dhr(command(data / "photos.parquet", tmp_path / "out", "--engine", "ray"))
    assert ended.code == 2 and words in ended.err and len(ended.err.splitlines()) == 1, ended
    assert not (tmp_path / "out" / "classifier.safetensors").exists()


def wrong_settings(data: Path, out: Path) -> list[str]:
    return command(data, out, "--engine", "ray", "--method.tau", "0.7")


def other_manifest(data: Path, out: Path) -> list[str]:
    found = open_data(data)
    entry = Entry("new", str(data.parent / "images" / f"{found.samples[0].name}.png"), (found.classes.names[0],))
    write_manifest(out.parent / "other.parquet", found.classes, [entry])
    return command(out.parent / "other.parquet", out, "--engine", "ray")


def plain_run(data: Path, out: Path) -> list[str]:
    return command(data, out)


REFUSED: tuple[tuple[Callable[[Path, Path], list[str]], str], ...] = (
    (wrong_settings, "holds another run: settings.method.tau was"),
    (other_manifest, "holds another run: photographs and tags changed"),
    (plain_run, "holds a run with --engine ray"),
)


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[one[0].__name__ for one in REFUSED])
def test_another_run_in_the_folder_is_refused(
    made: tuple[Path, Path], small_units: None, dhr: Any, tmp_path: Path, change: Any, reason: str
) -> None:
    data, whole = made
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    ended = dhr(change(data, out))
    assert ended.code == 2 and reason in ended.err and len(ended.err.splitlines()) == 1, ended.err
    same_masks(out, whole)
