import json
import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.data.images import write_mask
from dhr.data.samples import ClassTable, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.evaluate import EvaluateConfig, Scores, evaluate, evaluate_stages
from dhr.evaluate.scores import BY_CLASS
from dhr.evaluate.tally import Tally

Labels = np.ndarray


@dataclass
class Truths:
    """A data set of truth masks in memory; ``None`` is a photograph without one."""

    truths: dict[str, Labels | None]
    classes: ClassTable
    tags: dict[str, tuple[int, ...]]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> list[Sample]:
        return [Sample(n, f"{n}.jpg", self.tags.get(n, (0,)), t is not None) for n, t in self.truths.items()]

    def digest(self, sample: Sample) -> str:
        return "0" * 64

    def read_image(self, sample: Sample) -> np.ndarray:
        raise AssertionError("no photograph is needed to score a mask")

    def read_ground_truth(self, sample: Sample) -> np.ndarray:
        truth = self.truths[sample.name]
        if truth is None:
            raise ItemError("none")
        return truth


def labels(*rows: list[int]) -> Labels:
    return np.array(rows, dtype=np.uint8)


def table(count: int, background: bool = False) -> ClassTable:
    return ClassTable(tuple(f"c{index}" for index in range(count)), background)


def write(folder: Path, masks: dict[str, Labels]) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for name, mask in masks.items():
        write_mask(folder / f"{name}.png", mask)
    return folder


def tallied(classes: ClassTable, *triples: tuple[tuple[int, ...], Labels, Labels]) -> Scores:
    tally = Tally(classes)
    for index, (tags, pred, truth) in enumerate(triples):
        tally.add(Sample(f"i{index}", "", tags, True), pred, truth)
    return tally.scores()


# An independent computation, one boolean mask at a time.


def iou(pred: Labels, truth: Labels, label: int) -> float:
    known = truth != 255
    union = known & ((pred == label) | (truth == label))
    return float((known & (pred == label) & (truth == label)).sum() / union.sum()) if union.any() else math.nan


def by_hand(classes: ClassTable, triples: list[tuple[tuple[int, ...], Labels, Labels]]) -> dict[str, float]:
    all_pred = np.concatenate([pred.ravel() for _, pred, _ in triples])
    all_truth = np.concatenate([truth.ravel() for _, _, truth in triples])
    present = [c for c in range(len(classes.names)) if (all_truth == c).any()]
    minor, vanished = [], []
    for tags, pred, truth in triples:
        known = int((truth != 255).sum())
        for c in classes.foreground:
            if 0 < (truth == c).sum() / max(known, 1) < 0.1:
                minor.append(iou(pred, truth, c))
        vanished += [not (pred == c).any() for c in tags if known and (truth == c).sum() / known >= 0.005]
    known = all_truth != 255
    rates = []
    for c in present:
        positive, guess = all_truth[known] == c, all_pred[known] == c
        rates.append(
            ((~positive & guess).sum() / max((~positive).sum(), 1), (positive & ~guess).sum() / positive.sum())
        )
    other = [rate[0] for rate, c in zip(rates, present, strict=True) if (all_truth[known] != c).any()]
    return {
        "miou": mean([iou(all_pred, all_truth, c) for c in present]),
        "minor_iou": mean(minor),
        "pixel_accuracy": mean((all_pred[known] == all_truth[known]).tolist()),
        "false_positive_rate": mean(other),
        "false_negative_rate": mean([rate[1] for rate in rates]),
        "vanished": mean(vanished),
    }


def mean(values: list) -> float:
    return float(np.mean(values)) if values else math.nan


Case = tuple[ClassTable, list[tuple[tuple[int, ...], Labels, Labels]]]


def case(seed: int, count: int, background: bool) -> Case:
    classes = table(count, background)
    random = np.random.default_rng(seed)
    triples = []
    for _ in range(int(random.integers(1, 5))):
        shape = (int(random.integers(1, 12)), int(random.integers(1, 12)))
        share = random.dirichlet(np.full(count + 1, 0.3))  # mostly one class, others small
        truth = random.choice([*range(count), 255], shape, p=share).astype(np.uint8)
        noise = random.choice([*range(count), 255], shape)
        pred = np.where(random.random(shape) < 0.7, truth, noise).astype(np.uint8)
        triples.append((tuple(c for c in classes.foreground if (truth == c).any()), pred, truth))
    return classes, triples


CASES = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 5), st.booleans())


@settings(deadline=None, max_examples=150)
@given(CASES)
def test_scores_equal_an_independent_computation(drawn: tuple[int, int, bool]) -> None:
    classes, triples = case(*drawn)
    scores = tallied(classes, *triples)
    for key, value in by_hand(classes, triples).items():
        assert getattr(scores, key) == pytest.approx(value, abs=1e-12, nan_ok=True), key
    for image, (_, pred, truth) in zip(scores.per_image, triples, strict=True):
        inside = mean([iou(pred, truth, c) for c in range(len(classes.names)) if (truth == c).any()])
        assert image.miou == pytest.approx(inside, abs=1e-12, nan_ok=True)


@settings(deadline=None, max_examples=50)
@given(CASES, st.randoms(use_true_random=False))
def test_order_of_images_and_names_of_classes_do_not_matter(drawn: tuple[int, int, bool], random: Random) -> None:
    classes, triples = case(*drawn)
    order = list(classes.foreground)
    random.shuffle(order)
    rename = np.arange(256, dtype=np.uint8)
    rename[classes.foreground.start : len(classes.names)] = order
    renamed = [(tuple(sorted(int(rename[t]) for t in tags)), rename[p], rename[t]) for tags, p, t in triples]
    random.shuffle(renamed)
    before, after = tallied(classes, *triples), tallied(classes, *renamed)
    for key in ("miou", "minor_iou", "pixel_accuracy", "false_positive_rate", "false_negative_rate", "vanished"):
        assert getattr(after, key) == pytest.approx(getattr(before, key), abs=1e-12, nan_ok=True)
    for index, score in enumerate(before.per_class):
        other = after.per_class[rename[index]]
        assert (other.truth_pixels, other.predicted_pixels) == (score.truth_pixels, score.predicted_pixels)
        assert other.iou == pytest.approx(score.iou, abs=1e-12, nan_ok=True)


# Cases made by hand.


def test_one_matrix_for_the_data_set_and_not_a_mean_over_images() -> None:
    scores = tallied(
        table(2),
        ((0, 1), labels([0, 0, 0, 0]), labels([0, 0, 0, 1])),  # class 0: 3 of 4; class 1: 0 of 1
        ((1,), labels([1, 1]), labels([1, 1])),  # class 1: 2 of 2
    )
    assert [score.iou for score in scores.per_class] == pytest.approx([3 / 4, 2 / 3])
    assert scores.miou == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert [image.miou for image in scores.per_image] == pytest.approx([(3 / 4 + 0) / 2, 1.0])


def test_minor_iou_by_hand() -> None:
    # 40 labelled pixels: class 1 covers 3 of them (7.5 %, minor), class 2 covers 4 (10 %, not minor), class 0 the rest.
    truth = np.full((5, 10), 255, dtype=np.uint8)
    truth[:4] = 0
    truth[0, :3], truth[1, :4] = 1, 2
    pred = np.zeros_like(truth)
    pred[0, 1:5] = 1  # 2 hits, 2 false alarms, 1 miss
    pred[4] = 1  # over void: not counted
    scores = tallied(table(3), ((0, 1, 2), pred, truth))
    assert scores.minor_pairs == 1
    assert scores.minor_iou == pytest.approx(2 / 5)


def test_the_background_is_never_minor() -> None:
    truth = np.ones((1, 20), dtype=np.uint8)
    truth[0, 0] = 0
    assert tallied(table(2, background=True), ((1,), truth, truth)).minor_pairs == 0
    assert tallied(table(2), ((0, 1), truth, truth)).minor_pairs == 1


def test_a_predicted_void_is_a_miss_but_no_false_alarm() -> None:
    scores = tallied(table(2), ((0, 1), labels([0, 255, 1, 1]), labels([0, 0, 1, 1])))
    assert [score.iou for score in scores.per_class] == [0.5, 1.0]
    assert scores.pixel_accuracy == 0.75
    assert scores.false_positive_rate == 0.0
    assert scores.false_negative_rate == 0.25


def test_void_truth_does_not_count() -> None:
    scores = tallied(table(2), ((0,), labels([0, 1, 1]), labels([0, 255, 255])))
    assert scores.miou == scores.pixel_accuracy == 1.0
    assert scores.per_class[1].predicted_pixels == 0
    assert math.isnan(scores.per_class[1].iou)


def test_a_class_that_is_only_predicted_has_iou_0_and_is_not_in_the_mean() -> None:
    scores = tallied(table(3), ((0,), labels([0, 0, 0, 1]), labels([0, 0, 0, 0])))
    assert scores.per_class[1].iou == 0.0
    assert math.isnan(scores.per_class[2].iou)
    assert scores.miou == 0.75


def test_nothing_labelled_is_nan_throughout() -> None:
    scores = tallied(table(2), ((0,), labels([0, 1]), labels([255, 255])))
    values = (scores.miou, scores.minor_iou, scores.pixel_accuracy, scores.vanished, scores.false_positive_rate)
    assert all(math.isnan(value) for value in (*values, scores.per_image[0].miou))
    text = json.dumps(scores.to_json(), allow_nan=False)
    assert json.loads(text)["miou"] is None


def test_vanished_counts_tagged_classes_from_half_a_percent_on() -> None:
    truth = np.zeros((20, 20), dtype=np.uint8)
    truth[0, :2], truth[1, :1], truth[2] = 1, 2, 3  # 0.5 %, 0.25 %, 5 %
    pred = np.zeros_like(truth)
    scores = tallied(table(4), ((0, 1, 2), pred, truth))  # 3 is not tagged
    assert scores.tagged_pairs == 2
    assert scores.vanished == 0.5
    truth[19], pred[19, 0] = 255, 1  # a pixel over void is a pixel all the same
    assert tallied(table(4), ((0, 1, 2), pred, truth)).vanished == 0.0


def test_the_largest_images_are_counted_in_strips() -> None:
    random = np.random.default_rng(0)
    truth, pred = (random.integers(0, 3, (700, 301), dtype=np.uint8) for _ in range(2))
    scores = tallied(table(3), ((0,), pred, truth))
    assert [s.truth_pixels for s in scores.per_class] == np.bincount(truth.ravel()).tolist()
    assert scores.pixel_accuracy == (pred == truth).mean()


def test_255_classes() -> None:
    truth = np.arange(255, dtype=np.uint8)[None]
    assert tallied(table(255), (tuple(range(255)), truth, truth)).miou == 1.0


# Folders.


def test_a_folder_with_subfolders_and_dots_in_names(tmp_path: Path) -> None:
    truths = {"a/b.c": labels([0, 1]), "d": labels([1, 1])}
    data = Truths(truths, table(2), {"a/b.c": (0, 1), "d": (1,)})
    steps = []
    scores = evaluate(data, write(tmp_path, truths), progress=lambda step: steps.append((step.done, step.total)))
    assert scores.miou == 1.0
    assert [image.name for image in scores.per_image] == ["a/b.c", "d"]
    assert steps == [(1, 2), (2, 2)]
    assert scores.missing == scores.extra == ()


def test_missing_masks_are_an_error_or_counted(tmp_path: Path) -> None:
    truths = {f"i{index}": labels([0, 1]) for index in range(9)}
    data = Truths(truths, table(2), {})
    folder = write(tmp_path, {"i0": truths["i0"]})
    with pytest.raises(DataError, match=r"8 of 9 masks are missing.*i1, i2, i3, i4, i5 and 3 more"):
        evaluate(data, folder)
    scores = evaluate(data, folder, EvaluateConfig(allow_missing=True))
    assert scores.missing == tuple(f"i{index}" for index in range(1, 9))
    assert scores.miou == 1.0
    assert len(scores.per_image) == 1
    with pytest.raises(DataError, match="9 of 9"):
        evaluate(data, write(tmp_path / "empty", {}), EvaluateConfig(allow_missing=True))


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (labels([0, 1, 1]), "mask is 3x1 pixels, the ground truth 2x1"),
        (labels([0, 7]), r"expected class ids 0\.\.1 .*got 7"),
    ],
)
def test_a_mask_that_does_not_fit_is_an_error_even_if_some_may_be_missing(
    tmp_path: Path, mask: Labels, text: str
) -> None:
    data = Truths({"a": labels([0, 1]), "b": labels([0, 1])}, table(2), {})
    folder = write(tmp_path, {"a": mask, "b": labels([0, 1])})
    with pytest.raises(DataError, match=rf"1 of 2 masks .*a \(.*{text}"):
        evaluate(data, folder, EvaluateConfig(allow_missing=True))


def test_a_damaged_mask_is_an_error(tmp_path: Path) -> None:
    data = Truths({"a": labels([0, 1])}, table(2), {})
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="1 of 1"):
        evaluate(data, tmp_path)


def test_extra_masks_and_photographs_without_truth_are_named(tmp_path: Path) -> None:
    data = Truths({"a": labels([0, 1]), "bare": None}, table(2), {})
    folder = write(tmp_path, {"a": labels([0, 1]), "bare": labels([0]), "sub/x": labels([1])})
    with pytest.raises(DataError, match=r"1 masks .* belong to no photograph.*: sub/x; .*--allow-extra"):
        evaluate(data, folder)
    scores = evaluate(data, folder, EvaluateConfig(allow_extra=True))
    assert scores.extra == ("sub/x",)
    assert scores.without_truth == 1
    assert scores.to_json()["extra_first"] == ["sub/x"]


def test_no_folder_and_no_truth_are_errors(tmp_path: Path) -> None:
    data = Truths({"a": None}, table(2), {})
    with pytest.raises(DataError, match="expected a folder"):
        evaluate(data, tmp_path / "nowhere")
    with pytest.raises(DataError, match="none of the 1 photographs"):
        evaluate(data, tmp_path)


def test_stages_that_were_kept(tmp_path: Path) -> None:
    truth = labels([0, 1])
    data = Truths({"a": truth}, table(2), {})
    write(tmp_path / "masks", {"a": truth})
    write(tmp_path / "stages" / "cam", {"a": labels([0, 0])})
    steps = []
    scores = evaluate_stages(data, tmp_path, progress=lambda step: steps.append((step.done, step.total)))
    assert list(scores) == ["cam", "mask"]
    assert scores["mask"].miou > scores["cam"].miou
    assert steps == [(1, 1)]


def test_json_is_percent_with_four_decimals(tmp_path: Path) -> None:
    scores = tallied(table(3), ((0,), labels([0, 0, 1]), labels([0, 0, 0])))
    values = scores.to_json()
    assert values["miou"] == 66.6667
    assert values["per_class"]["c0"] == {
        "iou": 66.6667, "accuracy": 66.6667, "precision": 100.0, "false_positive_rate": None,
        "false_negative_rate": 33.3333, "boundary_f": 0.0, "minor_iou": None, "vanished": 0.0, "truth_pixels": 3,
        "predicted_pixels": 2, "photographs": 1, "minor_pairs": 0, "tagged_pairs": 1, "vanished_pairs": 0,
    }  # fmt: skip
    assert all(values["per_class"]["c2"][name] is None for name in BY_CLASS)
    assert values["confused"] == [["c0", "c1", 1]]
    assert values["per_class"]["c2"]["iou"] is None
    assert values["images"] == 1
    assert values["per_image"] == {"i0": 66.6667}
    json.dumps(values, allow_nan=False)
