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


def small_objects(count: int, classes: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photographs of class 0 with a minor object of each other class, found in part; a mask loses none."""
    random = np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        truth = np.zeros((20, 20), np.uint8)
        for label in range(1, classes):
            truth[4 * label : 4 * label + 3, 4:9] = label
        wrong = random.random(truth.shape) < 0.3
        pairs.append((np.where(wrong & (truth > 0) & (np.arange(20) != 4), 0, truth).astype(np.uint8), truth))
    return pairs


@pytest.mark.parametrize("name", ["minor_iou", "vanished"])
def test_the_pairs_of_a_photograph_count_once(name: str) -> None:
    """Four photographs give eight pairs, among many others that give none: nothing can be said of pairs."""
    plain = [(np.full((20, 20), 3, np.uint8),) * 2 for _ in range(30)]

    def scores(count: int) -> Any:
        result = Tally(ClassTable(("ground", "a", "b", "c"), background=True), 500)
        for index, (pred, truth) in enumerate([*small_objects(count), *plain]):
            result.add(Sample(f"i{index}", "", (1, 2) if index < count else (), True), pred, truth)
        return result

    few, enough = scores(4), scores(5)
    found = few.scores()
    assert (found.minor_pairs, found.tagged_pairs, found.minor_photographs, found.tagged_photographs) == (8, 8, 4, 4)
    assert math.isnan(found.intervals[name].low) and not math.isnan(found.intervals["miou"].low)
    assert all(math.isnan(entry.intervals[name].low) for entry in found.per_class)
    assert not math.isnan(enough.scores().intervals[name].low)
    one = difference(("a", "b"), found, found, few.resampled(), few.resampled())
    assert math.isnan(one.whole[name].interval.low) and not math.isnan(one.whole["miou"].interval.low)


def test_what_never_vanished_may_yet_vanish() -> None:
    """The exact bound: a rate that no event among n photographs refutes at 2.5 %."""
    from scipy.stats import binomtest

    pairs = small_objects(12)
    lost = [(np.zeros_like(truth), truth) for _, truth in pairs]
    some = [(pred if index % 3 else np.zeros_like(truth), truth) for index, (pred, truth) in enumerate(pairs)]
    kept, gone, mixed = (tally([(pred, truth) for pred, truth in of], 500) for of in (pairs, lost, some))
    bound = binomtest(0, 12).proportion_ci(method="exact").high
    for entry in (kept.scores(), kept.scores().per_class[1]):
        assert entry.vanished == 0
        assert (entry.intervals["vanished"].low, entry.intervals["vanished"].high) == (0, pytest.approx(bound))
    last = gone.scores().per_class[1]
    assert last.vanished == 1
    assert (last.intervals["vanished"].low, last.intervals["vanished"].high) == (pytest.approx(1 - bound), 1)
    ends = mixed.scores().per_class[1].intervals["vanished"]
    assert 0 <= ends.low < 1 / 3 < ends.high < 1

    def change(first: Tally, other: Tally) -> Any:
        found = difference(("a", "b"), first.scores(), other.scores(), first.resampled(), other.resampled())
        return found.whole["vanished"].interval

    same = change(kept, kept)
    assert (same.low, same.high) == (pytest.approx(-bound), pytest.approx(bound))
    worse = change(kept, mixed)
    assert worse.low >= 0 and worse.high < 1
    more = change(kept, gone)
    assert more.low <= kept.scores().vanished + gone.scores().vanished <= more.high <= 1


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
    call = ["evaluate", "--data", finished.data, "--masks", fine, spoilt]
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
    call = ["evaluate", "--data", finished.data, "--masks", spoilt]
    labels = read_mask(mask)
    write_mask(mask, labels[:, :-1])
    ended = dhr(call)
    assert ended.code == 2 and "scene-000001" in ended.err
    ended = dhr([*call, "--allow-wrong-size"])
    assert ended.code == 1 and "scene-000001" in ended.out
    Image.fromarray(palette(256)[labels]).save(mask)
    ended = dhr(call)
    assert ended.code == 0  # the colours of the classes are read
    mask.write_bytes(b"\x80\x04\x95pickled")
    ended = dhr(call)
    assert ended.code == 2 and "scene-000001" in ended.err
