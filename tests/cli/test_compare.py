"""``dhr compare``: several rows on one data set, resumed, with failures and published figures."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dhr as package
from dhr.api.rows import folder_of, read_rows
from dhr.api.settings import run_settings
from dhr.errors import ConfigError, DataError
from dhr.job.settings import RunConfig

from ..conftest import TINY, Ended, strict_json
from ..sources.test_objects import boxes_of

SETTINGS = {one.removeprefix("--").replace("-", "_"): value for one, value in zip(TINY[::2], TINY[1::2], strict=True)}


def one_line(ended: Ended, *words: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err, ended.err


@pytest.fixture
def call(finished: Any) -> Any:
    """Arguments of ``dhr compare`` with tiny settings and a trained classifier, so that rows take little time."""
    file = finished.out / "classifier.safetensors"
    head = ["compare", "--data", finished.data, "--out", finished.out.parent / "compare"]
    return lambda *more: [*head, *TINY, "--classifier.file", file, *more]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_scored_on_the_same_photographs(call: Any, finished: Any, dhr: Any) -> None:
    rows = ("CAM alone: step=cam", "DHR", "plain: boundary.kind=none", f"truth: masks={finished.data / 'truth'}")
    ended = dhr(call("--rows", *rows))
    assert ended.code == 0, ended.err
    found = strict_json(finished.out.parent / "compare" / "compare.json")
    by_row = {one["row"]: one for one in found["rows"]}
    assert [*by_row] == ["CAM alone", "DHR", "plain", "truth"] and found["finished"]
    assert by_row["truth"]["miou"] == 100 and by_row["truth"]["vanished"] == 0
    assert {one["images"] for one in found["rows"]} == {5}
    assert all(one["intervals"]["miou"] is not None and one["reason"] is None for one in found["rows"])
    assert by_row["DHR"]["seconds"] > 0 and by_row["truth"]["seconds"] is by_row["CAM alone"]["seconds"] is None
    assert [one["against"] for one in found["differences"]] == ["CAM alone"] * 3
    expected = 100 - by_row["CAM alone"]["miou"]
    assert found["differences"][2]["miou"]["difference"] == pytest.approx(expected, abs=1e-3)
    # The scores are those of `dhr evaluate`.
    assert dhr(["evaluate", "--data", finished.data, "--masks", by_row["DHR"]["masks"], "--json", "s.json"]).code == 0
    assert strict_json(Path("s.json"))["miou"] == by_row["DHR"]["miou"]
    for name in by_row:
        assert name in ended.out


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def test_rows_with_equal_settings_share_a_run(call: Any, finished: Any, dhr: Any) -> None:
    assert dhr(call("--rows", "CAM: step=cam", "seeds: step=seed", "DHR:", "--resamples", "0")).code == 0
    out = finished.out.parent / "compare"
    assert [path.name for path in (out / "rows").iterdir()] == ["CAM"]
    assert strict_json(out / "compare.json")["rows"][0].get("intervals") is None


def test_finished_rows_are_not_run_again(call: Any, finished: Any, dhr: Any) -> None:
    out = finished.out.parent / "compare"
    assert dhr(call("--rows", "DHR", "--resamples", "0")).code == 0
    before = {path: path.stat().st_mtime_ns for path in (out / "rows" / "DHR" / "masks").rglob("*.png")}
    first = strict_json(out / "compare.json")["rows"][0]
    assert len(before) == 5
    assert dhr(call("--rows", "DHR", "plain: boundary.kind=none", "--resamples", "0")).code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = strict_json(out / "compare.json")["rows"]
    assert len(again) == 2 and again[0] == first  # its seconds, too


def test_a_row_that_fails_is_named_and_the_others_go_on(call: Any, finished: Any, dhr: Any) -> None:
    missing = finished.out.parent / "nowhere.safetensors"
    rows = (f"lost: uss.kind=leopart uss.weights={missing}", "DHR", "empty: masks=nowhere")
    ended = dhr(call("--rows", *rows, "--resamples", "0"))
    assert ended.code == 1, ended
    found = strict_json(finished.out.parent / "compare" / "compare.json")["rows"]
    assert "nowhere.safetensors" in found[0]["reason"] and "miou" not in found[0]
    assert found[1]["miou"] is not None
    assert "expected a folder of masks at nowhere" in found[2]["reason"]
    for words in ("row lost", "nowhere.safetensors", "row empty"):
        assert words in " ".join(ended.out.split()), ended.out
    other = " ".join(dhr(call("--rows", "DHR: boundary.kind=none")).err.split())  # the folder holds the other run
    assert "boundary.kind was" in other and "rename the row 'DHR', delete" in other and "--redo" not in other, other
    one_line(dhr(call("--rows", "empty: masks=nowhere")), "1 row, and none could be scored", "empty: expected a folder")


def test_masks_that_cannot_be_compared_fail_their_row_alone(call: Any, finished: Any, dhr: Any) -> None:
    folders = {}
    for name in ("short", "wide", "whole"):
        folders[name] = finished.out.parent / name
        shutil.copytree(finished.data / "truth", folders[name])
    first, *_ = sorted(folders["short"].glob("*.png"))
    first.unlink()
    from dhr.data import read_mask, write_mask

    path = folders["wide"] / first.name
    write_mask(path, read_mask(path).repeat(2, axis=1))
    rows = [f"{name}: masks={folder}" for name, folder in folders.items()]
    ended = dhr(call("--rows", *rows, "--resamples", "0"))
    assert ended.code == 1
    found = {one["row"]: one for one in strict_json(finished.out.parent / "compare" / "compare.json")["rows"]}
    assert "1 of 5 masks are missing" in found["short"]["reason"] and first.stem in found["short"]["reason"]
    assert "128x48" in found["wide"]["reason"]
    assert found["whole"]["miou"] == 100 and found["whole"]["images"] == 5
    # Photographs that a row lacks may be left out of all rows.
    ended = dhr(call("--rows", rows[0], rows[2], "--resamples", "0", "--allow-missing"))
    assert ended.code == 1 and "1 photograph left out" in ended.out
    found = {one["row"]: one for one in strict_json(finished.out.parent / "compare" / "compare.json")["rows"]}
    assert found["whole"]["images"] == found["short"]["images"] == 4


def test_published_figures_stand_beside_ours_and_apart(call: Any, finished: Any, dhr: Any) -> None:
    file = write(
        finished.out.parent / "rows.yaml",
        "settings: {boundary.kind: none}\n"
        "rows:\n"
        "  ours: {published: {miou: 12.5, source: 'a paper, without tags'}}\n"
        "  given: {masks: data/truth}\n"
        "published:\n"
        "  theirs: {miou: 86.8, source: another paper}\n",
    )
    ended = dhr(call("--rows", file, "--resamples", "0"))
    assert ended.code == 0, ended.err
    out = finished.out.parent / "compare"
    found = strict_json(out / "compare.json")
    assert found["rows"][0]["published"] == {"miou": 12.5, "source": "a paper, without tags"}
    assert found["rows"][0]["miou"] != 12.5 and found["published"]["theirs"]["miou"] == 86.8
    record = strict_json(out / "rows" / "ours" / "run.json")
    assert record["settings"]["boundary"]["kind"] == "none"
    with (out / "compare.csv").open(encoding="utf-8", newline="") as lines:
        rows = [*csv.DictReader(lines)]
    assert [row["published_miou"] for row in rows] == ["12.5", "", "86.8"]
    assert rows[2]["row"] == "theirs" and rows[2]["miou"] == "" and rows[1]["miou"] == "100.0"
    page = (out / "compare.html").read_text(encoding="utf-8")
    for words in ("theirs", "86.8", "another paper", "not measured here"):
        assert words in page and words in " ".join(ended.out.split()), words


def test_names_on_the_page_are_text(call: Any, finished: Any, dhr: Any) -> None:
    name = "<b onload=alert(1)>[bold]"
    assert dhr(call("--rows", f"{name}: masks={finished.data / 'truth'}", "--resamples", "0")).code == 0
    page = (finished.out.parent / "compare" / "compare.html").read_text(encoding="utf-8")
    assert "<b onload" not in page and "&lt;b onload" in page


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a: wss.kid=irn", "no setting 'wss.kid'; did you mean wss.kind?"),
        ("a: classifier.epochs=many", "classifier.epochs must be a whole number"),
        ("a: irn", "expected SETTING=VALUE, got 'irn'"),
        ("a: seed=1 seed=2", "seed is given twice"),
        ("a: 'seed=1", "close the quotes"),
        ("a: step=last", "step must be one of cam, base"),
        ("a: masks=x seed=1", "masks are scored as they are"),
        ("a: step=cam stages=false", "needs the masks of all steps"),
        ("a: wss.output_stride=5", "wss.output_stride must be"),
        ("a: preset=papre", "must be one of"),
        (": seed=1", "a row needs a name"),
        ("seed=1", "expected a name and a colon before the settings"),
        ("...: seed=1", "gives no name for a folder"),
        ("rows.yml", "cannot read rows.yml"),
    ],
)
def test_a_row_that_cannot_be_used_is_one_line_before_any_work(row: str, words: str, fresh: Any, dhr: Any) -> None:
    head = ["compare", "--data", fresh.data, "--out", fresh.out, *TINY]
    one_line(dhr([*head, "--rows", "fine", row]), words)
    assert not fresh.out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rows: [a]", "must hold `rows`"),
        ("wss: {kind: irn}", "got wss"),
        ("rows: {a: 3}", "'a' must hold settings"),
        ("rows: {1: {seed: 1}}", "1"),
        ("rows: {a: {published: 82.3}}", "expected {miou: 82.3"),
        ("rows: {a: {published: {miou: 823, source: x}}}", "miou: expected a finite number, 0 to 100"),
        ("rows: {a: {published: {miou: 82.3}}}", "expected {miou: 82.3"),
        ("rows: {a: {masks: [x]}}", "masks must be a folder"),
        ("rows: {a: {}, A: {seed: 1}}", "is the name of two rows"),
        ("rows: {a b: {}, a-b: {seed: 1}}", "would share the folder a-b"),
        ("rows: {a: {wss: {kid: irn}}}", "wss.kid"),
        ("rows: {a: {}}\nsettings: {wss: {kid: irn}}", "wss.kid"),
    ],
)
def test_a_file_of_rows_that_cannot_be_used_is_one_line(text: str, words: str, fresh: Any, dhr: Any) -> None:
    file = write(fresh.out.parent / "rows.yaml", text)
    one_line(dhr(["compare", "--data", fresh.data, "--out", fresh.out, "--rows", file]), words, "--rows")
    assert not fresh.out.exists()


def test_a_folder_of_something_else_is_left_alone(call: Any, finished: Any, dhr: Any) -> None:
    arguments = [*call("--rows", "DHR")]
    arguments[4] = finished.out
    before = sorted(finished.out.rglob("*"))
    one_line(dhr(arguments), "something other than a comparison")
    arguments[4] = finished.data / "images"
    one_line(dhr(arguments), "--out")
    assert sorted(finished.out.rglob("*")) == before


def test_a_data_set_without_ground_truth_is_refused(call: Any, finished: Any, dhr: Any) -> None:
    shutil.rmtree(finished.data / "truth")
    one_line(dhr(call("--rows", "DHR")), "has a ground-truth mask")
    assert not (finished.out.parent / "compare" / "rows").exists()


def test_settings_of_a_row_override_those_of_all(tmp_path: Path) -> None:
    (tmp_path / "w.pt").touch()
    file = write(
        tmp_path / "deep" / "rows.yaml",
        "settings: {preset: paper, seed: 1, wss.weights: ../w.pt, method: {tau: 0.5}}\n"
        "rows: {a: {}, b: {seed: 3}, c: {method.tau: 0.6, preset: default}, d: {uss: {weights: u.pt}}}\n",
    )
    found = {row.name: row.config for row in read_rows(str(file), {"seed": 2}).rows}
    assert {name: one.seed for name, one in found.items()} == {"a": 2, "b": 3, "c": 2, "d": 2}
    assert {name: one.method.tau for name, one in found.items()} == {"a": 0.5, "b": 0.5, "c": 0.6, "d": 0.5}
    assert all(Path(one.wss.weights) == file.parent / "../w.pt" for one in found.values())
    assert found["d"].uss.weights == str(file.parent / "u.pt")
    paper, default = run_settings("paper")[0], RunConfig()
    assert found["a"].method.combine == paper.method.combine != default.method.combine == found["c"].method.combine
    # Both ways to write a row mean the same.
    given = {"x": {"wss": {"kind": "irn"}, "method.tau": 0.25}}
    assert read_rows(given).rows[0].config == read_rows("x: wss.kind=irn --method.tau=0.25").rows[0].config
    assert read_rows({"x": {"seed": 4}}, RunConfig()).rows[0].config == RunConfig(seed=4)


def test_names_of_folders_stay_below_the_output() -> None:
    for name in ("../../a", "/etc/x", "a\\b", "..", "a/../b", "x" * 300, "CON"):
        try:
            folder = folder_of(name)
        except ConfigError:
            continue
        assert Path(folder).name == folder and folder not in (".", "..") and len(folder) <= 80


def typed(texts: dict[str, Any]) -> RunConfig:
    """Make all settings of their texts."""
    words = " ".join(f"{name}={str(value).replace(' ', '')}" for name, value in texts.items())
    return read_rows(f"x: {words}").rows[0].config


def test_it_is_a_function_as_well(finished: Any, tmp_path: Path) -> None:
    rows = {"DHR": {}, "truth": {"masks": finished.data / "truth", "published": {"miou": 50, "source": "x"}}}
    config = typed({**SETTINGS, "classifier.file": finished.out / "classifier.safetensors"})
    result = package.compare(finished.data, tmp_path / "table", rows, config=config)
    assert result.complete and "truth: mIoU 100.0 %" in result.summary
    assert [row["row"] for row in result.rows()] == ["DHR", "truth"] and result.rows()[1]["published_miou"] == 50
    assert "<table>" in result._repr_html_()
    with pytest.raises(DataError, match="none could be scored"):
        package.compare(finished.data, tmp_path / "table", {"x": {"masks": tmp_path / "none"}}, config=config)


_HOLDER = """
import sys
from pathlib import Path
from dhr.locks import hold
with hold(Path(sys.argv[1]), "compare.lock"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_two_calls_do_not_write_into_one_folder(call: Any, finished: Any, dhr: Any) -> None:
    arguments = call("--rows", f"truth: masks={finished.data / 'truth'}", "--resamples", "0")
    assert dhr(arguments).code == 0
    command = [sys.executable, "-c", _HOLDER, str(finished.out.parent / "compare")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin and holder.stdout and holder.stdout.readline() == "held\n"
        one_line(dhr(arguments), "another process is writing")
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.wait()
    assert dhr(arguments).code == 0


def test_a_call_that_was_killed_goes_on(call: Any, finished: Any, dhr: Any) -> None:
    whole = ("--rows", "CAM: step=cam", "plain: boundary.kind=none", "--resamples", "100")
    out = finished.out.parent / "compare"
    assert dhr(call(*whole)).code == 0
    expected = (out / "compare.csv").read_bytes()
    for path in ("compare.json", "compare.csv", "compare.html"):  # as if it was killed in its first row
        (out / path).unlink()
    record = out / "rows" / "CAM" / "items"
    next(record.rglob("*.json")).unlink()
    shutil.rmtree(out / "rows" / "plain")
    assert dhr(call(*whole)).code == 0
    again = (out / "compare.csv").read_bytes()
    assert [line.rsplit(b",", 5)[0] for line in again.splitlines()][1] == [
        line.rsplit(b",", 5)[0] for line in expected.splitlines()
    ][1]
    assert again.count(b"\n") == expected.count(b"\n") == 3


def test_a_rival_its_files_and_a_classifier_beside_it_are_compared(call: Any, finished: Any, dhr: Any) -> None:
    boxes = finished.out.parent / "boxes"
    boxes_of(finished.data, boxes)
    file = write(
        finished.out.parent / "rows.yaml",
        "rows:\n"
        "  rival: {wss: {kind: files, backbone: none, maps: boxes}, classifier.file: null, step: cam}\n"
        "  both: {sources: [classifier, files], source_settings: {files: {backbone: none, maps: boxes}}}\n",
    )
    ended = dhr(call("--rows", "classifier:", file, "--resamples", "0"))
    assert ended.code == 0, ended
    found = {one["row"]: one["miou"] for one in strict_json(finished.out.parent / "compare" / "compare.json")["rows"]}
    assert found["both"] > found["classifier"] and found["rival"] > found["classifier"]
