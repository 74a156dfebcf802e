from collections.abc import Callable

import numpy as np
import pytest

from dhr.data import DataSet, Sample, SceneDataSet
from dhr.data.scenes import VERSION
from dhr.errors import ConfigError, ItemError

SCENES = SceneDataSet(count=120, seed=0)
PIXELS = [97130, 91636, 48684, 32060, 95208, 2967, 15824, 3703, 2685, 847, 9603, 9253]  # of each class in 20 scenes
MEANS = [98.152, 151.033, 86.186, 107.45]  # of the first pictures


def neighbours(mask: np.ndarray) -> np.ndarray:
    wide = np.pad(mask, 1)
    around: np.ndarray = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return around & ~mask


def test_a_scene_depends_on_its_number_and_seed_only() -> None:
    few: DataSet = SceneDataSet(count=3, seed=0)
    for sample, same in zip(few.samples, SCENES.samples, strict=False):
        assert sample == same and few.digest(sample) == SCENES.digest(same)
        assert np.array_equal(few.read_image(sample), SCENES.read_image(same))
        assert np.array_equal(few.read_ground_truth(sample), SCENES.read_ground_truth(same))
    other = SceneDataSet(count=3, seed=1)
    assert other.digest(other.samples[0]) != few.digest(few.samples[0])
    assert not np.array_equal(other.read_image(other.samples[0]), few.read_image(few.samples[0]))


def test_the_drawing_has_not_changed_without_a_new_version() -> None:
    # Not a hash: another machine may round a pixel at an edge otherwise.
    truth = np.concatenate([SCENES.read_ground_truth(sample).ravel() for sample in SCENES.samples[:20]])
    assert VERSION == 1 and np.bincount(truth).tolist() == pytest.approx(PIXELS, abs=20)
    means = [float(SCENES.read_image(sample).mean()) for sample in SCENES.samples[:4]]
    assert means == pytest.approx(MEANS, abs=0.01)


def test_truth_is_exact() -> None:
    for sample in SCENES.samples:
        truth = SCENES.read_ground_truth(sample)
        assert truth.shape == (128, 160) and truth.dtype == np.uint8 and sample.has_ground_truth
        assert sample.tags == tuple(np.unique(truth).tolist())
        assert np.bincount(truth.ravel())[list(sample.tags)].min() >= 80  # nobody would tag less


def test_edges_of_the_truth_are_edges_of_the_picture() -> None:
    along, inside = [], []
    for sample in SCENES.samples[:40]:
        picture, truth = SCENES.read_image(sample).astype(float).mean(axis=2), SCENES.read_ground_truth(sample)
        step, border = np.abs(np.diff(picture, axis=1)), np.diff(truth, axis=1) != 0
        if border.any():
            along.append(step[border].mean())
            inside.append(step[~border].mean())
    assert np.mean(along) > 1.8 * np.mean(inside)


def test_small_classes_touch_large_ones_in_most_scenes() -> None:
    hits = 0
    for sample in SCENES.samples:
        truth = SCENES.read_ground_truth(sample)
        share = np.bincount(truth.ravel(), minlength=12) / truth.size
        small = np.flatnonzero((share > 0) & (share < 0.1))
        hits += any(np.isin(truth[neighbours(truth == large)], small).any() for large in np.flatnonzero(share > 0.4))
    assert hits > 0.65 * len(SCENES.samples)


def test_tags_can_be_learned() -> None:
    tagged = np.array([[label in sample.tags for label in range(12)] for sample in SCENES.samples])
    assert tagged.sum(axis=0).min() >= 15
    alone = tagged.T.astype(int) @ ~tagged  # scenes with one class and without another
    assert alone[~np.eye(12, dtype=bool)].min() >= 10


def test_mean_colour_does_not_tell_things_apart() -> None:
    # Nearest class mean over single pixels of things: far from solved by colour.
    pixels, labels = [], []
    for sample in SCENES.samples:
        truth = SCENES.read_ground_truth(sample)
        pixels.append(SCENES.read_image(sample)[truth >= 5].astype(float))
        labels.append(truth[truth >= 5])
    colour, label = np.concatenate(pixels), np.concatenate(labels)
    means = np.array([colour[label == index].mean(axis=0) for index in range(5, 12)])
    nearest = 5 + ((colour[::50, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == label[::50]).mean() < 0.6


def test_super_classes() -> None:
    table = SCENES.classes
    assert table.supers is not None and len(set(table.supers)) == 5 and len(table.names) == len(set(table.names)) == 12
    assert not table.background and SCENES.problems == ()


@pytest.mark.parametrize("size", [(32, 32), (256, 200), (97, 131)])
def test_sizes(size: tuple[int, int]) -> None:
    data = SceneDataSet(count=4, seed=3, size=size)
    for sample in data.samples:
        assert data.read_image(sample).shape == (*size, 3) and data.read_ground_truth(sample).shape == size


def test_names() -> None:
    assert SCENES.samples[17].name == "scene-000017" and SCENES.samples[17].source == "scene 17 of seed 0"


def test_a_scene_is_drawn_all_at_once(calls: Callable[..., int]) -> None:
    """Not pixel by pixel: a picture of sixteen times as many takes as many calls."""
    small, large = (SceneDataSet(count=5, seed=0, size=size) for size in ((64, 64), (256, 256)))
    for sample, same in zip(small.samples, large.samples, strict=True):
        few, many = (calls(lambda of=of, one=one: of.read_image(one)) for of, one in ((small, sample), (large, same)))
        assert many < 1.5 * few, sample.name


@pytest.mark.parametrize("name", ["scene-000120", "scene-x", "other", "scene--1"])
def test_samples_of_others(name: str) -> None:
    with pytest.raises(ItemError, match="not one of these 120 scenes"):
        SCENES.read_image(Sample(name, "", (0,), True))


@pytest.mark.parametrize("arguments", [{"count": 0}, {"count": 1, "seed": -1}, {"count": 1, "size": (16, 64)}])
def test_bad_arguments(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        SceneDataSet(**arguments)  # type: ignore[arg-type]
