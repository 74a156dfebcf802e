"""The colours of masks: far apart for people with and without colour blindness, and stored as they were made.

Simulation: Machado, Oliveira and Fernandes 2009, severity 1, in linear RGB. Distance: CIEDE2000.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.data import ClassTable, palette, write_mask
from dhr.data.benchmarks import BENCHMARKS, benchmark
from dhr.data.labels import plain, read_labels
from dhr.data.palette import class_palette, distinct_palette

SIGHT = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
BLACK, VOID, GREY, WHITE = (0, 0, 0), (224, 224, 192), (119, 119, 119), (255, 255, 255)


def lab(colours: np.ndarray, sight: str) -> np.ndarray:
    """CIELAB (D65) of sRGB colours as they are seen."""
    stored = np.asarray(colours, float) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ SIGHT[sight].T, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = seen @ to_xyz.T / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    l1, a1, b1 = np.moveaxis(first, -1, 0)
    l2, a2, b2 = np.moveaxis(second, -1, 0)
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = np.arctan2(b1, stretch * a1) % (2 * np.pi), np.arctan2(b2, stretch * a2) % (2 * np.pi)
    turn = np.where(c1 * c2 == 0, 0, (h2 - h1 + np.pi) % (2 * np.pi) - np.pi)
    hue = np.where(c1 * c2 == 0, h1 + h2, h1 + turn / 2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * np.cos(hue - np.pi / 6) + 0.24 * np.cos(2 * hue)
    t += 0.32 * np.cos(3 * hue + np.pi / 30) - 0.20 * np.cos(4 * hue - np.radians(63))
    bend = np.radians(60 * np.exp(-(((np.degrees(hue) % 360 - 275) / 25) ** 2)))
    rotate = -2 * np.sin(bend) * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    dl = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / (1 + 0.015 * chroma * t)
    return np.sqrt(dl**2 + dc**2 + dh**2 + rotate * dc * dh)


def least(colours: np.ndarray, sight: str) -> float:
    """The distance of the two colours that are most alike."""
    i, j = np.triu_indices(len(colours), 1)
    seen = lab(colours, sight)
    return float(ciede2000(seen[i], seen[j]).min())


def made(count: int) -> np.ndarray:
    """Greedy: each colour is the one whose least distance, over all kinds of sight, to all before it is largest."""
    levels = np.arange(15, 256, 16)  # no colour of VOC's has such levels
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    light = lab(cube, "normal")[:, 0]
    cube = cube[(light >= 20) & (light <= 95)]
    seen = {sight: lab(cube, sight) for sight in SIGHT}
    distance = np.full(len(cube), np.inf)
    chosen: list[np.ndarray] = []
    for colour in map(np.array, (BLACK, VOID, GREY, WHITE)):
        distance = np.minimum(distance, nearest(seen, colour))
    while len(chosen) < count:
        chosen.append(cube[np.argmax(np.round(distance, 6))])
        distance = np.minimum(distance, nearest(seen, chosen[-1]))
    return np.array(chosen)


def nearest(seen: dict[str, np.ndarray], colour: np.ndarray) -> np.ndarray:
    return np.min([ciede2000(there, lab(colour[None], sight)) for sight, there in seen.items()], axis=0)


def test_the_distance_is_that_of_the_standard() -> None:
    """Pairs 1, 7, 17 and 25 of Sharma, Wu and Dalal 2005."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ]
    for first, second, expected in pairs:
        assert float(ciede2000(np.array(first), np.array(second))) == pytest.approx(expected, abs=5e-5)


def test_the_stored_colours_are_those_that_the_rule_makes() -> None:
    np.testing.assert_array_equal(distinct_palette(False)[:255], made(255))


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("background", [False, True])
def test_classes_differ_for_everyone(sight: str, background: bool) -> None:
    classes = distinct_palette(background)[background:]
    for count, far in ((12, 12), (20, 9), (80, 4)):  # a small data set, one like VOC, one like COCO
        assert least(np.vstack([BLACK, classes[:count], VOID]), sight) > far
    colours = np.vstack([BLACK, distinct_palette(background)[background:21], VOID])
    assert least(palette(21), sight) < 5
    assert least(colours, sight) > 2 * least(palette(21), sight)
    assert least(distinct_palette(background)[background:], sight) > 2  # all of them, and void


def test_the_first_class_is_black_only_if_it_is_background() -> None:
    names = ("a", "b")
    assert class_palette(ClassTable(names, True))[0].tolist() == [0, 0, 0]
    assert class_palette(ClassTable(names, False))[0].tolist() != [0, 0, 0]
    np.testing.assert_array_equal(class_palette(ClassTable(names, True))[1], class_palette(ClassTable(names, False))[0])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_only_voc_has_the_palette_of_voc(name: str) -> None:
    assert np.array_equal(class_palette(benchmark(name).classes), palette()) == (name == "voc")


@pytest.mark.parametrize("background", [False, True])
def test_colours_of_either_palette_are_read(background: bool, tmp_path: Path) -> None:
    """Masks of other programs, and of earlier versions, are in VOC's colours."""
    table = ClassTable(("a", "b", "c"), background)
    labels = np.array([[0, 0, 1], [2, 2, 255]], np.uint8)
    for colours in (palette(), class_palette(table)):
        Image.fromarray(colours[labels]).save(tmp_path / "rgb.png")
        np.testing.assert_array_equal(read_labels(tmp_path / "rgb.png", plain(table)), labels)
        write_mask(tmp_path / "indexed.png", labels, colours)
        np.testing.assert_array_equal(read_labels(tmp_path / "indexed.png", plain(table)), labels)
    mixed = class_palette(table)[labels]
    mixed[0, 0] = palette()[1]
    Image.fromarray(mixed).save(tmp_path / "mixed.png")
    with pytest.raises(Exception, match=r"got the colour \(128, 0, 0\) of no class"):
        read_labels(tmp_path / "mixed.png", plain(table))
    if not background:  # black is no class here
        unpainted = class_palette(table)[labels]
        unpainted[labels == 2] = 0
        Image.fromarray(unpainted).save(tmp_path / "unpainted.png")
        np.testing.assert_array_equal(
            read_labels(tmp_path / "unpainted.png", plain(table)), np.where(labels == 2, 255, labels)
        )
