"""Intervals, comparisons of folders, CSV, plots; agreement with torchmetrics."""

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dhr.data import FolderDataSet, palette, read_mask, write_mask
from dhr.data.samples import ClassTable, Sample
from dhr.evaluate import EvaluateConfig, compare, evaluate
from dhr.evaluate.compare import difference
from dhr.evaluate.sheet import write_csv
from dhr.evaluate.tally import Tally

CLASSES = ClassTable(("a", "=b", "c", "never"), background=False)


def photographs(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions and truths; masks differ in how good they are, class 3 is in none."""
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        truth = random.integers(0, 3, (4, 5)).repeat(3, axis=0).repeat(3, axis=1).astype(np.uint8)
        wrong = random.random(truth.shape) < random.uniform(0, 0.8)
        pred = np.where(wrong, random.integers(0, 3, truth.shape), truth).astype(np.uint8)
        truth[random.random(truth.shape) < 0.1] = 255
        pairs.append((pred, truth))
    return pairs


def tally(pairs: list[tuple[np.ndarray, np.ndarray]], resamples: int = 0) -> Tally:
    """All of them counted."""
    result = Tally(CLASSES, resamples)
    for index, (pred, truth) in enumerate(pairs):
        result.add(Sample(f"i{index}", "", (0, 1, 2), True), pred, truth)
    return result


def test_agrees_with_torchmetrics() -> None:
    classification = pytest.importorskip("torchmetrics.classification")
    pairs = photographs(20)
    pred = torch.from_numpy(np.concatenate([pred.ravel() for pred, _ in pairs])).long()
    truth = torch.from_numpy(np.concatenate([truth.ravel() for _, truth in pairs])).long()
    options = {"num_classes": 4, "ignore_index": 255}
    iou = classification.MulticlassJaccardIndex(average=None, **options)(pred, truth)
    recall = classification.MulticlassRecall(average=None, **options)(pred, truth)
    precision = classification.MulticlassPrecision(average=None, **options)(pred, truth)
    accuracy = classification.MulticlassAccuracy(average="micro", **options)(pred, truth)
    scores = tally(pairs).scores()
    for index, entry in enumerate(scores.per_class[:3]):
        assert entry.iou == pytest.approx(float(iou[index]), abs=1e-6)
        assert entry.accuracy == pytest.approx(float(recall[index]), abs=1e-6)
        assert 1 - entry.false_negative_rate == pytest.approx(float(recall[index]), abs=1e-6)
        assert entry.precision == pytest.approx(float(precision[index]), abs=1e-6)
    assert math.isnan(scores.per_class[3].iou)  # absent: not 0, as torchmetrics has it
    assert scores.miou == pytest.approx(float(iou[:3].mean()), abs=1e-6)
    assert scores.pixel_accuracy == pytest.approx(float(accuracy), abs=1e-6)


def test_intervals_are_those_of_an_explicit_bootstrap() -> None:
    pairs = photographs(60)
    resampled = tally(pairs, 2000).resampled()
    assert resampled is not None
    random = np.random.default_rng(1)
    matrices = np.zeros((60, 3, 3))
    for index, (pred, truth) in enumerate(pairs):
        known = truth != 255
        np.add.at(matrices[index], (truth[known], pred[known]), 1)
    explicit = []
    for _ in range(2000):
        matrix = matrices[random.integers(0, 60, 60)].sum(axis=0)
        hits = np.diagonal(matrix)
        explicit.append((hits / (matrix.sum(0) + matrix.sum(1) - hits)).mean())
    ends = np.quantile(resampled.whole["miou"], [0.025, 0.975])
    expected = np.quantile(explicit, [0.025, 0.975])
    np.testing.assert_allclose(ends, expected, atol=0.15 * (expected[1] - expected[0]))


def test_intervals_hold_the_score_and_few_photographs_have_none() -> None:
    scores = tally(photographs(40), 500).scores()
    interval = scores.intervals["miou"]
    assert interval.low < scores.miou < interval.high
    few = tally(photographs(4), 500).scores().intervals.get("miou")
    assert few is None or math.isnan(few.low)


def test_more_photographs_give_narrower_intervals() -> None:
    widths = []
    for count in (20, 320):
        ends = tally(photographs(count), 500).scores().intervals["miou"]
        widths.append(ends.high - ends.low)
    assert widths[1] < widths[0] / 2.5  # about 1 / sqrt(16)


def test_a_difference_is_surer_than_its_parts() -> None:
    pairs = photographs(60)
    worse = [(np.where(np.arange(pred.shape[1]) < 2, 0, pred).astype(np.uint8), truth) for pred, truth in pairs]
    tallies = [tally(pairs, 500), tally(worse, 500)]
    first, other = (one.scores() for one in tallies)
    found = difference(("fine", "worse"), first, other, tallies[0].resampled(), tallies[1].resampled())
    change = found.whole["miou"]
    assert change.value == pytest.approx(other.miou - first.miou)
    assert change.interval.low < change.value < change.interval.high < 0
    own = first.intervals["miou"]
    assert change.interval.high - change.interval.low < own.high - own.low
    again = difference(("fine", "same"), first, first, tallies[0].resampled(), tallies[0].resampled())
    assert again.most == ()
    assert (again.whole["miou"].interval.low, again.whole["miou"].interval.high) == (0.0, 0.0)


@pytest.fixture
def two(finished: Any, tmp_path: Path) -> tuple[FolderDataSet, Path, Path]:
    """A data set, its truth as masks, and a copy with one mask spoilt."""
    fine, spoilt = tmp_path / "fine", tmp_path / "spoilt"
    shutil.copytree(finished.data / "truth", fine)
    shutil.copytree(fine, spoilt)
    mask = spoilt / "scene-000001.png"
    write_mask(mask, np.full_like(read_mask(mask), 2))
    return FolderDataSet(finished.data), fine, spoilt


def test_which_photographs_differ(two: tuple[FolderDataSet, Path, Path]) -> None:
    data, fine, spoilt = two
    found = compare(data, {"fine": fine, "spoilt": spoilt}, EvaluateConfig(resamples=100))
    (only,) = found.differences
    assert [one.name for one in only.most] == ["scene-000001"]
    assert only.most[0].before == 1.0 > only.most[0].after
    assert only.whole["miou"].value < 0


def test_scores_do_not_depend_on_threads(two: tuple[FolderDataSet, Path, Path]) -> None:
    data, _, spoilt = two
    results = [evaluate(data, spoilt, EvaluateConfig(resamples=50, workers=workers)).to_json() for workers in (1, 2, 5)]
    assert results[0] == results[1] == results[2]


def test_the_command_compares_folders(
    two: tuple[FolderDataSet, Path, Path], finished: Any, dhr: Any, tmp_path: Path
) -> None:
    _, fine, spoilt = two
    call = ["evaluate", "--data", finished.data, "--pred", fine, spoilt]
    ended = dhr([*call, "--csv", tmp_path / "scores.csv", "--plots", tmp_path / "plots"])
    assert ended.code == 0, ended.err
    assert "scene-000001" in ended.out
    for name in ("classes", "scores", "differences"):
        with Image.open(tmp_path / "plots" / f"{name}.png") as picture:
            assert picture.width > 300
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["masks"] for row in rows} == {"fine", "spoilt"}
    assert next(float(row["iou"]) for row in rows if row["masks"] == "fine" and not row["class"]) == 100


def test_names_in_a_csv_are_no_formulas(tmp_path: Path) -> None:
    write_csv(tmp_path / "scores.csv", {"@masks": tally(photographs(6)).scores()})
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["", "a", "'=b", "c", "never"]
    assert {row["masks"] for row in rows} == {"'@masks"}
    assert rows[-1]["iou"] == ""  # not known


def test_masks_that_are_no_masks(two: tuple[FolderDataSet, Path, Path], finished: Any, dhr: Any) -> None:
    _, _, spoilt = two
    mask = spoilt / "scene-000001.png"
    call = ["evaluate", "--data", finished.data, "--pred", spoilt]
    labels = read_mask(mask)
    write_mask(mask, labels[:, :-1])
    ended = dhr(call)
    assert ended.code == 2 and "scene-000001" in ended.err
    ended = dhr([*call, "--allow_wrong_size"])
    assert ended.code == 1 and "scene-000001" in ended.out
    Image.fromarray(palette(256)[labels]).save(mask)
    ended = dhr(call)
    assert ended.code == 0  # the colours of the classes are read
    mask.write_bytes(b"\x80\x04\x95pickled")
    ended = dhr(call)
    assert ended.code == 2 and "scene-000001" in ended.err
