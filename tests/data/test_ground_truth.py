"""Masks that store numbers, colours, or numbers that a program has sorted anew."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.data import VOID, ClassTable, palette
from dhr.data.benchmarks import benchmark
from dhr.data.ground_truth import MaskFile
from dhr.data.labels import Storage, plain
from dhr.data.palette import class_palette
from dhr.errors import ItemError

VOC = Storage(benchmark("voc").classes, benchmark("voc").stored, own_palette=True)
LABELS = np.array([[0, 1, 15, 20, 255]] * 4, np.uint8)


def save(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def test_colours_of_the_palette_are_read_as_their_classes(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", Image.fromarray(palette()[LABELS]))
    assert np.array_equal(MaskFile(path, VOC).read((4, 5)), LABELS)
    own = ClassTable(("cat", "dog", "owl"), False)
    path = save(tmp_path / "n.png", Image.fromarray(palette()[LABELS % 3]))
    assert np.array_equal(MaskFile(path, plain(own)).read((4, 5)), LABELS % 3)


@pytest.mark.parametrize("colour", [(1, 2, 3), (255, 255, 255), (255, 0, 0)])
def test_another_colour_is_one_clear_error(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    pixels = palette()[LABELS]
    pixels[1, 2] = colour
    path = save(tmp_path / "m.png", Image.fromarray(pixels))
    with pytest.raises(ItemError) as error:
        MaskFile(path, VOC).read((4, 5))
    assert f"the colour {colour} of no class in 1 pixels; save it as an indexed" in str(error.value)


def test_a_colour_of_two_classes_is_refused(tmp_path: Path) -> None:
    ade = benchmark("ade")
    storage = Storage(ade.classes, ade.stored, ade.void, own_palette=True)
    colours = class_palette(ade.classes)
    path = save(tmp_path / "m.png", Image.fromarray(colours[np.array([[0, 1], [149, 254]])]))
    assert MaskFile(path, storage).read(None).tolist() == [[0, 1], [149, VOID]]  # black is void where no class is black
    assert colours[6].tolist() == colours[48].tolist()  # road and skyscraper, as they were published
    path = save(tmp_path / "n.png", Image.fromarray(colours[np.array([[6]])]))
    with pytest.raises(ItemError, match=r"\(140, 140, 140\) of two classes"):
        MaskFile(path, storage).read(None)


def test_an_indexed_mask_whose_palette_was_sorted_anew_is_read_by_colour(tmp_path: Path) -> None:
    image = Image.fromarray(palette()[LABELS]).convert("P", palette=Image.Palette.ADAPTIVE, colors=5)
    path = save(tmp_path / "m.png", image)
    with Image.open(path) as stored:
        assert not np.array_equal(np.asarray(stored), LABELS)
    assert np.array_equal(MaskFile(path, VOC).read(None), LABELS)


@pytest.mark.parametrize("colours", ["grey", "black", "binary"])
def test_numbers_count_whatever_their_colours(tmp_path: Path, colours: str) -> None:
    image = Image.fromarray(LABELS)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    image.putpalette({"grey": ramp, "black": ramp * 0, "binary": (ramp > 0) * np.uint8(255)}[colours].tobytes())
    path = save(tmp_path / "m.png", image)
    own = plain(ClassTable(tuple(map(str, range(21))), False))
    assert np.array_equal(MaskFile(path, own).read(None), LABELS)
    if colours == "grey":
        assert np.array_equal(MaskFile(path, VOC).read(None), LABELS)


def test_a_number_of_no_class_and_a_mask_of_another_size(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", Image.fromarray(np.full((4, 5), 21, np.uint8)))
    with pytest.raises(ItemError, match=r"expected class ids 0\.\.20 \(classes\.txt\) and 255 for void, got 21 in 20"):
        MaskFile(path, VOC).read(None)
    with pytest.raises(ItemError, match="expected a mask of 6x4 pixels"):
        MaskFile(path, VOC).read((4, 6))


def test_a_mask_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", Image.new("L", (4_000, 4_000)))
    content = path.read_bytes()
    path.write_bytes(content[:200])  # decoding it would fail, in another way
    with pytest.raises(ItemError, match="expected a mask of 5x4 pixels"):
        MaskFile(path, VOC).read((4, 5))
