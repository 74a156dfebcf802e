"""Generate scenes: pictures drawn from a seed, with tags and exact ground truth, to try the method without a download.

Twelve classes form five super-classes; classes are similar within one (apple, orange, lemon) and different between two.
Surfaces fill the picture, and small things stand on and before them, so a class of some hundred pixels touches one of
half the picture. Neither colour nor texture alone separates classes: a brick and a board are brown, dry grass is as
yellow as sand, a car may have any colour. Each pixel belongs to a tagged class; there is no background class.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, UInt8

from dhr.data.samples import ClassTable, Problem, Sample
from dhr.data.scene_stuff import STUFF, smooth_noise
from dhr.data.scene_things import THINGS, Placed, paint, place
from dhr.errors import ConfigError, ItemError

VERSION = 1
"""Of the drawing: a change that alters any pixel must raise it."""

SUPERS = {
    "grass": "ground",
    "sand": "ground",
    "water": "ground",
    "brick": "wall",
    "planks": "wall",
    "car": "vehicle",
    "bus": "vehicle",
    "apple": "fruit",
    "orange": "fruit",
    "lemon": "fruit",
    "sheep": "animal",
    "cow": "animal",
}
"""Super-class of each class, in the order of the ids."""

_IDS = {name: index for index, name in enumerate(SUPERS)}
_STUFF = tuple(STUFF)
_THINGS = tuple(THINGS)


class SceneDataSet:
    """``count`` scenes of ``seed``; implements :class:`~dhr.data.samples.DataSet`.

    Scene i of a seed is always the same, whatever the count. ``size`` is (height, width) in pixels, at least 32 each.

    Raises:
        ConfigError: a count below 1, a negative seed, or a size below 32.

    >>> scenes = SceneDataSet(count=2, seed=0)
    >>> scenes.samples[1].source, scenes.read_image(scenes.samples[1]).shape
    ('scene 1 of seed 0', (128, 160, 3))
    """

    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def __init__(self, count: int, seed: int = 0, size: tuple[int, int] = (128, 160)) -> None:
        if count < 1 or seed < 0 or min(size) < 32:
            raise ConfigError(
                f"expected count >= 1, seed >= 0 and size >= (32, 32), got count {count}, seed {seed}, size {size}"
            )
        self._count, self._seed, self._size = count, seed, size

    @property
    def classes(self) -> ClassTable:
        """Return the twelve classes."""
        return ClassTable(names=tuple(SUPERS), background=False, supers=tuple(SUPERS.values()))

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """Return the scenes, in order; about 1 ms each, once."""
        return tuple(
            Sample(
                name=f"scene-{index:06d}",
                source=f"scene {index} of seed {self._seed}",
                tags=tuple(int(label) for label in np.unique(self._plan(index).labels)),
                has_ground_truth=True,
            )
            for index in range(self._count)
        )

    def digest(self, sample: Sample) -> str:
        """Return the SHA-256 of version, seed, number and size, which determine the pixels."""
        content = f"scene {VERSION} {self._seed} {self._index(sample)} {self._size[0]}x{self._size[1]}"
        return hashlib.sha256(content.encode()).hexdigest()

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Draw the scene: RGB.

        Raises:
            ItemError: the sample is not of this data set.
        """
        index = self._index(sample)
        return _draw(self._plan(index), np.random.Generator(np.random.PCG64((self._seed, index, 1))))

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Return class ids of the scene's pixels, without void."""
        return self._plan(self._index(sample)).labels

    def _index(self, sample: Sample) -> int:
        number = sample.name.removeprefix("scene-")
        if not number.isdecimal() or int(number) >= self._count:
            raise ItemError(
                f"{sample.name!r} is not one of these {self._count} scenes; take samples from this data set"
            )
        return int(number)

    def _plan(self, index: int) -> "_Plan":
        return _plan(np.random.Generator(np.random.PCG64((self._seed, index, 0))), self._size)


@dataclass(frozen=True)
class _Plan:
    """The labels of a scene."""

    labels: UInt8[np.ndarray, "h w"]
    surfaces: UInt8[np.ndarray, "h w"]
    """Labels behind the things."""
    stuff: tuple[str, ...]
    things: tuple[Placed, ...]
    """From the back to the front."""


def _plan(rng: np.random.Generator, size: tuple[int, int]) -> _Plan:
    stuff = [_STUFF[index] for index in rng.permutation(len(_STUFF))[: 2 if rng.random() < 0.55 else 1]]
    labels = np.full(size, _IDS[stuff[0]], np.uint8)
    if len(stuff) == 2:
        labels[_far_side(rng, size)] = _IDS[stuff[1]]
    surfaces = labels.copy()
    side = min(size)
    layers = np.zeros(size, np.int64)  # 0 where a surface shows, else the number of the thing
    things: list[Placed] = []
    areas = [0]
    kinds = rng.permutation(len(_THINGS))[: rng.choice(4, p=(0.06, 0.42, 0.36, 0.16))]
    for kind in kinds:
        low, high = THINGS[_THINGS[kind]].radius
        for _ in range(1 if rng.random() < 0.7 else 2):
            for _ in range(4):  # places tried
                radius = side * low * (high / low) ** rng.random()
                thing = place(rng, _THINGS[kind], size, radius)
                trial = layers.copy()
                trial[thing.rows, thing.columns][thing.mask] = len(things) + 1
                shown = np.bincount(trial.ravel(), minlength=len(things) + 2)
                rest = np.bincount(surfaces[trial == 0], minlength=len(_IDS))
                # Everything named stays recognisable: things shown by more than half, surfaces as broad strips.
                if (shown[1:-1] >= 0.55 * np.array(areas[1:], dtype=np.float64)).all() and all(
                    rest[_IDS[name]] >= 0.06 * trial.size for name in stuff
                ):
                    layers = trial
                    things.append(thing)
                    areas.append(int(thing.mask.sum()))
                    labels[thing.rows, thing.columns][thing.mask] = _IDS[thing.name]
                    break
    return _Plan(labels, surfaces, tuple(stuff), tuple(things))


def _far_side(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return pixels beyond a slanting, wavy line that leaves 15 to 60 % of the picture there."""
    y, x = (np.arange(n, dtype=np.float32) / n - np.float32(0.5) for n in size)
    angle = rng.uniform(-0.35, 0.35) + (np.pi / 2) * int(rng.integers(4) if rng.random() < 0.4 else 0)
    side = np.float32(np.cos(angle)) * y[:, None] + np.float32(np.sin(angle)) * x[None, :]
    side = side + 0.10 * smooth_noise(rng, size, (size[0] / 4, size[1] / 4))
    far: np.ndarray = side <= np.quantile(side, rng.uniform(0.15, 0.6))
    return far


def _draw(plan: _Plan, rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    height, width = size = plan.labels.shape
    unit = min(size) / 128
    picture = STUFF[plan.stuff[0]](rng, size, unit)
    for name in plan.stuff[1:]:
        there = plan.surfaces == _IDS[name]
        picture[there] = STUFF[name](rng, size, unit)[there]
    for thing in plan.things:
        paint(rng, thing, picture)
    tilt = rng.uniform(-0.3, 0.3, 2).astype(np.float32)
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * tilt[0]
    right = np.linspace(-0.5, 0.5, width, dtype=np.float32) * tilt[1]
    light = (
        np.float32(rng.uniform(0.8, 1.1))
        + down
        + right
        + 0.25 * (smooth_noise(rng, size, (60 * unit, 60 * unit)) - 0.5)
    )
    balance = rng.uniform(0.92, 1.08, 3).astype(np.float32)
    picture = _blurred(picture * light[:, :, None] * balance)
    picture += np.float32(rng.uniform(0.012, 0.035)) * rng.standard_normal(picture.shape, dtype=np.float32)
    pixels: UInt8[np.ndarray, "h w 3"] = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return pixels


def _blurred(picture: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Blur over three by three pixels with weights 1:2:1."""
    wide = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    tall = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return np.asarray((tall[:-2] + 2 * tall[1:-1] + tall[2:]) * np.float32(1 / 16), dtype=np.float32)
