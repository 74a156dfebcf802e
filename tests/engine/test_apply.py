"""`dhr predict` and `dhr evaluate` with Ray: the masks and scores of the plain commands, and the page of a job."""

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

if find_spec("ray") is None:
    pytest.skip("needs ray", allow_module_level=True)


from dhr.data import open_data
from dhr.data.manifest import Entry, write_manifest
from dhr.models.config import WssConfig
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss.classifier import TagClassifier
from dhr.records.members import to_json
from dhr.train.student_file import write_student

from .whole_rows import rows_in

pytestmark = pytest.mark.xdist_group("ray")  # one cluster, in one process of pytest

UNIT, COUNT = 8, 20
GONE = "gone"


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of a few photographs; a call without an engine makes its batches in the same groups."""
    for place in ("dhr.engine.predict.group_size", "dhr.job.predicted_masks.group_size"):
        monkeypatch.setattr(place, lambda device: UNIT)


@pytest.fixture(scope="module")
def given(scenes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with scenes, their manifest, and an untrained student."""
    root = tmp_path_factory.mktemp("apply")
    found = open_data(scenes(root / "data", COUNT))
    names = found.classes.names
    entries = [
        Entry(one.name, f"images/{one.name}.png", tuple(names[tag] for tag in one.tags), truth=f"truth/{one.name}.png")
        for one in found.samples
    ]
    entries.append(Entry(GONE, f"images/{GONE}.png", (names[-1],)))
    write_manifest(root / "data" / "photos.parquet", found.classes, sorted(entries, key=lambda one: one.id))
    torch.manual_seed(0)
    tagger = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), len(found.classes.foreground))
    network = Student(tagger, StudentConfig(width=16, low_level=8, rates=(1, 2)), len(names)).eval()
    write_student(root / "student.safetensors", network, found.classes, 48)
    return root


def predicted(given: Path, out: Path, images: str, *more: str) -> list[str]:
    student = str(given / "student.safetensors")
    return ["predict", "--student", student, "--images", str(given / "data" / images), "--out", str(out), *more]


def test_predictions_and_their_scores_are_those_of_the_plain_commands(
    cluster: str, given: Path, dhr: Any, tmp_path: Path
) -> None:
    out, plain, data = tmp_path / "out", tmp_path / "plain", given / "data"
    assert dhr(predicted(given, plain, "images", "--boundary", "crf")).code == 0
    call = predicted(given, out, "photos.parquet", "--boundary", "crf", "--engine", "ray")
    ended = dhr(call)
    assert ended.code == 1 and GONE in ended.out, ended.err
    rows = rows_in(out)
    assert rows.pop(GONE).reason and len(rows) == COUNT
    for name, row in rows.items():
        assert row.mask == (plain / "masks" / f"{name}.png").read_bytes(), name
        item, known = (
            json.loads((plain / "items" / f"{name}.json").read_text()),
            json.loads(json.dumps(to_json(row.record))),
        )
        assert {**known, "image": ""} == {**item, "image": ""}
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "finished" and record["kind"] == "predict" and record["counts"]["masks"] == COUNT

    page = (out / "report.html").read_text()
    assert page.count("<article") == COUNT and "Masks by quality" in page and "Mean share" in page and GONE in page
    before = {path.name: path.stat().st_mtime_ns for path in (out / "rows").iterdir()}
    assert dhr(call).code == 1
    assert {path.name: path.stat().st_mtime_ns for path in (out / "rows").iterdir()} == before  # nothing is made again

    scored = ["evaluate", "--data", str(data / "photos.parquet"), "--masks", str(out / "rows"), "--resamples", "20"]
    ended = dhr([*scored, "--json", str(tmp_path / "plain.json")])
    assert ended.code == 0, ended.err
    ended = dhr([*scored, "--json", str(tmp_path / "ray.json"), "--engine", "ray"])
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "ray.json").read_text()) == json.loads((tmp_path / "plain.json").read_text())
    page = (out / "report.html").read_text()
    assert "mIoU" in page and "Ground truth" in page and page.count("<article") == COUNT

    assert dhr(["unpack", "--run", str(out), "--out", str(tmp_path / "files")]).code in (0, 1)
    unpacked = {path.name: path.read_bytes() for path in (tmp_path / "files" / "masks").rglob("*.png")}
    assert unpacked == {path.name: path.read_bytes() for path in (plain / "masks").rglob("*.png")}


def test_missing_and_strange_masks_are_refused_or_counted_as_by_the_plain_command(
    cluster: str, given: Path, dhr: Any, packed: Callable[..., Path], finished: Any, tmp_path: Path
) -> None:
    found = open_data(finished.data)
    names = found.classes.names
    rows = packed(finished.out)
    shutil.rmtree(finished.out / "stages")  # the engine makes none
    entries = [
        Entry(one.name, f"images/{one.name}.png", tuple(names[tag] for tag in one.tags), truth=f"truth/{one.name}.png")
        for one in found.samples[1:]
    ]
    shutil.copy(finished.data / entries[0].uri, finished.data / "images" / "new.png")
    entries.append(Entry("new", "images/new.png", entries[0].tags, truth=entries[0].truth))
    entries.append(Entry("wrong", "images/new.png", ("bird",), truth=entries[0].truth))  # it is no photograph
    write_manifest(finished.data / "some.parquet", found.classes, sorted(entries, key=lambda one: one.id))
    call = ["evaluate", "--data", str(finished.data / "some.parquet"), "--masks", str(rows)]
    for more, reason in (((), "1 of 5 masks are missing"), (("--allow-missing",), "1 masks in")):
        plain, ray = (dhr([*call, *more, *engine]) for engine in ((), ("--engine", "ray")))
        assert plain.code == ray.code == 2 and reason in ray.err and ray.err == plain.err
    call += ["--allow-missing", "--allow-extra", "--json"]
    assert dhr([*call, str(tmp_path / "plain.json")]).code == 1
    assert dhr([*call, str(tmp_path / "ray.json"), "--engine", "ray", "--workers", "1"]).code == 1
    assert json.loads((tmp_path / "ray.json").read_text()) == json.loads((tmp_path / "plain.json").read_text())


def no_manifest(given: Path, out: Path) -> list[str]:
    return predicted(given, out, "images", "--engine", "ray")


def other_tags(given: Path, out: Path) -> list[str]:
    return predicted(given, out, "photos.parquet", "--tags", str(given / "data" / "tags.csv"), "--engine", "ray")


def masks_in_files(given: Path, out: Path) -> list[str]:
    data = given / "data"
    return ["evaluate", "--data", str(data / "photos.parquet"), "--masks", str(data / "truth"), "--engine", "ray"]


def without_engine(given: Path, out: Path) -> list[str]:
    return predicted(given, out, "photos.parquet", "--workers", "2")


REFUSED: tuple[tuple[Callable[[Path, Path], list[str]], str], ...] = (
    (no_manifest, "needs a manifest as --images"),
    (other_tags, "tags are those of the manifest"),
    (masks_in_files, "scores the rows of one run"),
    (without_engine, "add --engine ray"),
)


@pytest.mark.parametrize(("call", "reason"), REFUSED, ids=[one[0].__name__ for one in REFUSED])
def test_what_cannot_work_is_refused_with_one_line(
    given: Path, dhr: Any, tmp_path: Path, call: Any, reason: str
) -> None:
    ended = dhr(call(given, tmp_path / "out"))
    assert ended.code == 2 and reason in ended.err and len(ended.err.splitlines()) == 1, ended.err
    assert not (tmp_path / "out").exists()
