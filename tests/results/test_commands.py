"""Commands read rows as they read files: the same scores, exports, pages and decisions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dhr as api
from dhr.corrections import Corrections
from dhr.corrections.beside import masks_at
from dhr.data import open_data, read_mask
from dhr.data.palette import class_palette
from dhr.job.scan import Scan
from dhr.job.taught_masks import Masks, masks_digest, usable_masks
from dhr.records.correction import Correction
from dhr.results.places import mask_folder


@pytest.fixture
def both(finished: Any, packed: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """A finished run with files, and the same with rows."""
    shutil.copytree(finished.out, tmp_path / "rowed")
    packed(tmp_path / "rowed")
    return {"files": finished.out, "rows": tmp_path / "rowed"}


def save(out: Path, data: Any, number: int) -> tuple[str, np.ndarray]:
    """Save a mended mask: the first tag everywhere."""
    sample, corrections = data.samples[number], Corrections.of(out)
    masks = masks_at(mask_folder(out))
    mask = np.full_like(read_mask(masks.mask(sample.name)), sample.tags[0])
    tags = tuple(data.classes.names[tag] for tag in sample.tags)
    labels = {name: data.classes.names.index(name) for name in tags}
    correction = Correction("mended", data.digest(sample), tags, tags, labels)
    corrections.save(sample.name, correction, mask, class_palette(data.classes), expected=0)
    return sample.name, mask


@pytest.mark.parametrize("mended", [False, True])
def test_scores_and_report_are_the_same(both: dict[str, Path], finished: Any, mended: bool, dhr: Any) -> None:
    found, data = {}, open_data(finished.data)
    for kind, out in both.items():
        if mended:
            save(out, data, 1)
        file = out.parent / f"{kind}.json"
        ended = dhr(["evaluate", "--data", finished.data, "--masks", mask_folder(out), "--json", file])
        assert ended.code == 0, ended.err
        found[kind] = json.loads(file.read_text().replace(str(mask_folder(out)), "MASKS"))
        page = (out / "report.html").read_text()
        assert page.count("<article") == 5 and ("Machine&#x27;s mask" in page) == mended
        assert ("Files of rows" in page) == (kind == "rows")
    assert found["files"] == found["rows"]
    assert any(check["kind"] == "people" for check in found["rows"]["checks"]) == mended


def test_the_output_folder_may_be_named(both: dict[str, Path], finished: Any, dhr: Any) -> None:
    assert dhr(["evaluate", "--data", finished.data, "--masks", both["rows"]]).code == 0


@pytest.mark.parametrize("to", ["png", "coco", "yolo"])
def test_exports_are_the_same(both: dict[str, Path], finished: Any, to: str, contents: Any, tmp_path: Path) -> None:
    data, found = open_data(finished.data), []
    for kind, out in both.items():
        save(out, data, 0)
        place = tmp_path / kind / "export.json" if to == "coco" else tmp_path / kind
        where = {"file": place} if to == "coco" else {"out": place}
        done = api.export(finished.data, mask_folder(out), to=to, **where)
        assert done.masks == 5 and not done.left_out
        found.append(contents(tmp_path / kind))
        assert {name for name in found[-1] if not name.endswith(".json")} or to == "coco"
    for names in found:  # the ledger names the folder of the masks
        names.pop("export.json", None) if to != "coco" else None
    assert found[0] == found[1]


def test_a_training_reads_the_same_masks(both: dict[str, Path], finished: Any) -> None:
    data = open_data(finished.data)
    scan = Scan(tuple(data.samples), (), "", {}, {}, {})
    found = []
    for out in both.values():
        save(out, data, 2)
        masks = Masks(mask_folder(out), data.classes, scan.samples)
        usable, problems, notes = usable_masks(data, scan, masks)
        found.append((usable, problems, notes, masks_digest(scan, masks), [masks(one).tolist() for one in usable]))
    assert found[0] == found[1] and len(found[0][0]) == 5


def test_unpacked_rows_are_what_a_run_writes(
    finished: Any, packed: Any, contents: Any, dhr: Any, tmp_path: Path
) -> None:
    """Masks, records, run.json and what was fitted byte by byte, also after a call that was interrupted; then decisions
    as well."""
    names = ("masks/", "items/", "run.json", *(path.name for path in finished.out.glob("*.safetensors")))
    data = open_data(finished.data)
    before = {name: content for name, content in contents(finished.out).items() if name.startswith(names)}
    out = shutil.copytree(finished.out, tmp_path / "rowed")
    packed(out)
    for _ in range(2):
        ended = dhr(["unpack", "--run", out, "--out", tmp_path / "files"])
        assert ended.code == 0 and "5 masks" in ended.out
        assert {name: one for name, one in contents(tmp_path / "files").items() if name != "run.lock"} == before
        shutil.rmtree(tmp_path / "files" / "items")
        next((tmp_path / "files" / "masks").glob("*.png")).write_bytes(b"half")
    for number, folder in ((0, finished.out), (0, out)):
        save(folder, data, number)
    assert dhr(["unpack", "--run", out, "--out", tmp_path / "files"]).code == 0
    found, expected = (contents(folder) for folder in (tmp_path / "files", finished.out))
    kept = (*names, "corrections/items", "corrections/masks", "corrections/machine", "corrections/classes.txt")
    assert {name: one for name, one in found.items() if name.startswith(kept)} == {
        name: one for name, one in expected.items() if name.startswith(kept)
    }


def test_an_unpacked_run_goes_on(finished: Any, packed: Any, dhr: Any, tmp_path: Path) -> None:
    """As the run of which it was made, also if an engine has recorded its photographs in another way."""
    out, files = shutil.copytree(finished.out, tmp_path / "rowed"), tmp_path / "files"
    record = json.loads((out / "run.json").read_text())
    known = record["identity"]["data"]
    record["identity"]["data"] = "sha256:manifest"
    (out / "run.json").write_text(json.dumps(record))
    packed(out)
    assert dhr(["unpack", "--run", out, "--out", files]).code == 0
    assert json.loads((files / "run.json").read_text())["identity"]["data"] == known
    fitted = {path.name: path.read_bytes() for path in finished.out.glob("*.safetensors")}
    assert fitted and {path.name: path.read_bytes() for path in files.glob("*.safetensors")} == fitted
    before = {path: path.stat().st_mtime_ns for path in (files / "masks").rglob("*.png")}
    ended = dhr(finished.run("--out", str(files)))
    assert ended.code == 0 and {path: path.stat().st_mtime_ns for path in before} == before


def test_what_cannot_be_unpacked_is_refused(both: dict[str, Path], dhr: Any, tmp_path: Path) -> None:
    def told(run: Path, out: Path) -> str:
        ended = dhr(["unpack", "--run", run, "--out", out])
        assert ended.code == 2 and "Traceback" not in ended.err
        return str(ended.err)

    assert "files already" in told(both["files"], tmp_path / "new")
    assert "no run.json" in told(tmp_path / "nothing", tmp_path / "new")
    assert "outside" in told(both["rows"], both["rows"] / "files")
    other = tmp_path / "other"
    other.mkdir()
    record = json.loads((both["rows"] / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "identity": {"dhr": "0"}}))
    assert "another run" in told(both["rows"], other)


def test_rows_with_names_that_lead_elsewhere_are_left_out(
    both: dict[str, Path], dhr: Any, contents: Any, tmp_path: Path
) -> None:
    part = both["rows"] / "rows" / "part-00000.parquet"
    table = pq.read_table(part)
    names = ["../up", "/tmp/x", *table["id"].to_pylist()[2:]]
    pq.write_table(table.set_column(0, "id", pa.array(names)), part)
    ended = dhr(["unpack", "--run", both["rows"], "--out", tmp_path / "deep" / "files"])
    assert ended.code == 1 and "leads out of the folder" in ended.out + ended.err
    assert len([*(tmp_path / "deep" / "files" / "masks").rglob("*.png")]) == 3
    assert not [*tmp_path.glob("up*")] and not [*(tmp_path / "deep").glob("up*")]
