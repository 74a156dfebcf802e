"""``dhr evaluate`` and ``dhr demo``."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.data import FolderDataSet, SceneDataSet, read_mask, write_mask
from dhr.evaluate import evaluate as score


@pytest.fixture
def strict() -> Any:
    import json

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return lambda path: json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_scores_are_written_in_percent(finished: Any, dhr: Any, strict: Any, tmp_path: Path) -> None:
    ended = dhr(finished.evaluate("--json", str(tmp_path / "deep" / "scores.json")))
    assert ended.code == 0, ended.err
    scores = strict(tmp_path / "deep" / "scores.json")
    data = FolderDataSet(finished.data)
    expected = score(data, finished.out / "masks")
    assert scores["miou"] == pytest.approx(100 * expected.miou, abs=1e-4)
    assert scores["minor_iou"] == pytest.approx(100 * expected.minor_iou, abs=1e-4)
    assert set(scores["per_class"]) == set(data.classes.names)
    assert all(one["iou"] is None or 0 <= one["iou"] <= 100 for one in scores["per_class"].values())
    assert scores["images"] == 5
    assert f"{scores['miou']:.1f}" in ended.out


def test_the_truth_itself_scores_100(finished: Any, dhr: Any, strict: Any, tmp_path: Path) -> None:
    run = ["evaluate", "--data", finished.data, "--masks", finished.data / "truth", "--json", tmp_path / "scores.json"]
    assert dhr(run).code == 0
    scores = strict(tmp_path / "scores.json")
    assert scores["miou"] == scores["pixel_accuracy"] == 100
    assert scores["vanished"] == 0
    assert not list(finished.data.glob("report.html"))  # of no run


def test_truth_with_void_borders_scores_100_itself(finished: Any, dhr: Any, strict: Any, tmp_path: Path) -> None:
    for path in (finished.data / "truth").rglob("*.png"):
        truth = read_mask(path)
        edge = np.zeros(truth.shape, bool)
        edge[:, 1:] |= truth[:, 1:] != truth[:, :-1]
        edge[1:] |= truth[1:] != truth[:-1]
        write_mask(path, np.where(edge, np.uint8(255), truth))
    folder = finished.data / "truth"
    assert dhr(["evaluate", "--ground-truth", folder, "--masks", folder, "--json", tmp_path / "scores.json"]).code == 0
    scores = strict(tmp_path / "scores.json")
    assert scores["miou"] == scores["boundary_f"] == scores["pixel_accuracy"] == 100


def test_a_folder_of_truth_needs_no_photographs_and_gives_the_same_scores(
    finished: Any, dhr: Any, strict: Any, tmp_path: Path
) -> None:
    assert dhr(finished.evaluate("--json", str(tmp_path / "data.json"))).code == 0
    shutil.rmtree(finished.data / "images")
    truth = finished.data / "truth"  # classes.txt lies beside it
    masks = finished.out / "masks"
    ended = dhr(["evaluate", "--ground-truth", truth, "--masks", masks, "--json", tmp_path / "truth.json"])
    assert ended.code == 0, ended
    with_data, alone = strict(tmp_path / "data.json"), strict(tmp_path / "truth.json")
    with_data.pop("stages")
    assert with_data == alone
    for wrong in (["--data", finished.data, "--ground-truth", truth], [], ["--ground-truth", truth, "--split", "a"]):
        ended = dhr(["evaluate", "--masks", masks, *wrong])
        assert ended.code == 2 and ended.err.count("\n") == 1 and "--data DIR" in ended.err
    ended = dhr(["evaluate", "--ground-truth", masks / "nowhere", "--masks", masks])
    assert ended.code == 2 and ended.err.count("\n") == 1 and "nowhere" in ended.err


def test_folders_may_be_named_at_once_or_one_by_one(finished: Any, dhr: Any, strict: Any, tmp_path: Path) -> None:
    first, second = finished.out / "masks", finished.out / "stages" / "cam"
    start = ["evaluate", "--data", finished.data, "--json", tmp_path / "a.json"]
    assert dhr([*start, "--masks", first, second]).code == 0
    at_once = strict(tmp_path / "a.json")
    assert dhr([*start, "--masks", first, "--masks", second]).code == 0
    assert strict(tmp_path / "a.json") == at_once and len(at_once["masks"]) == 2
    twice = dhr([*start, "--masks", first, "--masks", first])
    assert twice.code == 2 and "twice" in twice.err


def test_the_report_gets_scores_of_all_stages(finished: Any, dhr: Any) -> None:
    report = finished.out / "report.html"
    before = report.read_text()
    ended = dhr(finished.evaluate())
    assert ended.code == 0
    after = report.read_text()
    assert "mIoU" not in before and "mIoU" in after
    for stage in ("CAM", "Step 1", "Step 2", "Step 3", "final mask"):
        assert stage in ended.out
    assert str(report) in ended.out


def test_missing_masks_are_refused_or_left_out_if_allowed(finished: Any, dhr: Any, strict: Any, tmp_path: Path) -> None:
    (finished.out / "masks" / "scene-000001.png").unlink()
    ended = dhr(finished.evaluate())
    assert ended.code == 2
    assert ended.err.count("\n") == 1 and "1 of 5 masks are missing" in ended.err and "scene-000001" in ended.err
    ended = dhr(finished.evaluate("--allow-missing", "--json", str(tmp_path / "scores.json")))
    assert ended.code == 1
    assert "scene-000001" in ended.out
    scores = strict(tmp_path / "scores.json")
    assert (scores["images"], scores["missing"], scores["missing_first"]) == (4, 1, ["scene-000001"])


def test_masks_of_the_wrong_size_are_refused(finished: Any, dhr: Any, labels: Any) -> None:
    path = finished.out / "masks" / "scene-000002.png"
    write_mask(path, labels(path)[:-1])
    ended = dhr(finished.evaluate())
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "scene-000002" in ended.err and "64x47" in ended.err and "64x48" in ended.err


def test_nothing_to_score_is_one_line(finished: Any, dhr: Any, tmp_path: Path) -> None:
    for run, word in (
        (["evaluate", "--data", finished.data, "--masks", tmp_path / "nowhere"], "nowhere"),
        (["evaluate", "--data", tmp_path / "nothing", "--masks", finished.out / "masks"], "nothing"),
        (finished.evaluate("--split", "none"), "'none'"),
        (finished.evaluate("--json", str(finished.data / "tags.csv" / "x.json")), "cannot write"),
    ):
        ended = dhr(run)
        assert ended.code == 2 and ended.err.count("\n") == 1 and word in ended.err
    shutil.rmtree(finished.data / "truth")
    ended = dhr(finished.evaluate())
    assert ended.code == 2 and ended.err.count("\n") == 1 and "truth" in ended.err


def test_the_demo_goes_the_whole_way(dhr: Any, tmp_path: Path) -> None:
    ended = dhr(["demo", "--scenes", "2", "--out", tmp_path / "demo"])
    assert ended.code == 0, ended.err
    for preset in ("default", "paper"):
        assert len(list((tmp_path / "demo" / preset / "masks").glob("*.png"))) == 2
        page = (tmp_path / "demo" / preset / "report.html").read_text()
        assert "mIoU" in page and str(tmp_path / "demo" / preset / "report.html") in ended.out
    assert "mIoU" in ended.out and "CAM" in ended.out
    scenes, data = SceneDataSet(2, 0), FolderDataSet(tmp_path / "demo" / "data")
    assert not data.problems and data.classes.supers == scenes.classes.supers
    for drawn, stored in zip(scenes.samples, data.samples, strict=True):
        assert (drawn.name, drawn.tags) == (stored.name, stored.tags)
        assert np.array_equal(scenes.read_image(drawn), data.read_image(stored))
        assert np.array_equal(scenes.read_ground_truth(drawn), data.read_ground_truth(stored))
    for preset in ("default", "paper"):  # all commands with --run find the photographs
        opened = dhr(["update", "--run", tmp_path / "demo" / preset, "--dry-run"])
        assert opened.code == 0 and "nothing would be done" in opened.out
    wrong = dhr(["update", "--run", tmp_path / "demo"])
    assert wrong.code == 2 and f"such folders below it: {tmp_path / 'demo' / 'default'}, " in wrong.err
    again = dhr(["demo", "--scenes", "2", "--out", tmp_path / "demo"])
    assert again.code == 0 and "classifier:" not in again.out
    other = dhr(["demo", "--scenes", "3", "--out", tmp_path / "demo"])
    assert other.code == 2 and other.err.count("\n") == 1 and "expected 3 generated scenes of this seed" in other.err


@pytest.mark.parametrize("columns", [60, 80])
def test_tables_fit_the_terminal_and_keep_their_headers(
    columns: int, finished: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ended = dhr(finished.evaluate("--resamples", "20"))
    assert ended.code == 0, ended.err
    tables = [line for line in ended.out.splitlines() if line[:1] in "┏┃┡│└"]
    assert tables and max(map(len, tables)) <= columns
    words = {word for line in tables if line.startswith("┃") for word in line.replace("┃", " ").split()}
    assert {"class", "IoU", "minor", "lost", "mIoU", "vanished"} <= words
    assert not any("…" in word for word in words)
    assert {"FPR", "accuracy"} <= words or columns < 80
