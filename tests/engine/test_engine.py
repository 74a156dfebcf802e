"""Runs with Ray: the masks of `dhr run`, whatever is killed."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ray = pytest.importorskip("ray")

from dhr.data import open_data  # noqa: E402
from dhr.data.manifest import Entry, write_manifest  # noqa: E402
from dhr.engine.cluster import libraries  # noqa: E402
from dhr.results.row import rows_of, table_in  # noqa: E402

pytestmark = pytest.mark.xdist_group("ray")  # one cluster, on one process of pytest

TINY = (
    *("--wss.backbone", "test_resnet", "--wss.weights", "none", "--wss.scales", "[1.0]"),
    *("--classifier.epochs", "2", "--classifier.batch", "3", "--classifier.crop", "32"),
    *("--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]", "--no-stages"),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A local cluster of two cores; its address."""
    folder = Path("/tmp") / f"dhr-{os.getpid()}"  # names of sockets are limited to 107 characters
    found = libraries(local=True)
    found.init(
        num_cpus=2, include_dashboard=False, _temp_dir=str(folder), object_store_memory=80 * 2**20,
        log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1",
    )  # fmt: skip
    yield found.get_runtime_context().gcs_address
    found.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def manifest(data: Path, more: tuple[Entry, ...] = ()) -> Path:
    """Write the manifest of a data folder of scenes."""
    found = open_data(data)
    names = found.classes.names
    entries = [
        Entry(one.name, f"images/{one.name}.png", tuple(names[tag] for tag in one.tags), truth=f"truth/{one.name}.png")
        for one in found.samples
    ]
    write_manifest(data / "photos.parquet", found.classes, sorted([*entries, *more], key=lambda one: one.id))
    return data / "photos.parquet"


def rows_in(out: Path) -> dict[str, Any]:
    """Return the rows of a folder by id; each is there once."""
    found: dict[str, Any] = {}
    for path in sorted((out / "rows").glob("[!.]*.parquet")):
        table = pq.read_table(path)
        for row in rows_of(table, table_in(table.schema)):
            assert row.id not in found
            found[row.id] = row
    return found


def command(data: Path, out: Path, *more: str) -> list[str]:
    return ["run", "--data", str(data), "--out", str(out), *TINY, *more]


def test_masks_are_those_of_a_run_without_an_engine(
    cluster: str, scenes: Any, dhr: Any, tmp_path: Path, labels: Any
) -> None:
    data = manifest(scenes(tmp_path / "data", 66))  # two units
    plain, out = tmp_path / "plain", tmp_path / "out"
    assert dhr(command(data, plain)).code == 0
    ended = dhr(command(data, out, "--engine", "ray"))
    assert ended.code == 0, ended.err
    assert (out / "survey.safetensors").read_bytes() == (plain / "survey.safetensors").read_bytes()
    rows = rows_in(out)
    assert len(rows) == 66 and len(list((out / "rows").iterdir())) == 2
    for name, row in rows.items():
        assert row.mask == (plain / "masks" / f"{name}.png").read_bytes(), name
        item = json.loads((plain / "items" / f"{name}.json").read_text())
        assert row.record.quality == item["quality"] and dict(row.record.ratios) == item["ratios"]
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished" and record["rows"] and record["counts"]["masks"] == 66


def test_a_photograph_that_fails_is_a_row_with_its_reason_and_is_tried_again(
    cluster: str, scenes: Any, dhr: Any, tmp_path: Path
) -> None:
    folder, out = scenes(tmp_path / "data", 6), tmp_path / "out"
    tag = open_data(folder).classes.names[0]
    data = manifest(folder, (Entry("gone", "images/gone.png", (tag,)),))
    ended = dhr(command(data, out, "--engine", "ray"))
    assert ended.code == 1, ended.err
    rows = rows_in(out)
    assert len(rows) == 7 and rows["gone"].mask is None and "gone.png" in rows["gone"].reason
    first = next(iter((out / "rows").iterdir())).read_bytes()
    assert dhr(command(data, out, "--engine", "ray")).code == 1
    assert next(iter((out / "rows").iterdir())).read_bytes() == first  # nothing was made again
    good = next(one for one in rows.values() if one.mask)
    shutil.copy(folder / "images" / f"{good.id}.png", folder / "images" / "gone.png")
    ended = dhr(command(data, out, "--engine", "ray"))
    assert ended.code == 0, ended.err
    again = rows_in(out)
    assert again["gone"].mask is not None and all(again[name] == rows[name] for name in rows if name != "gone")
