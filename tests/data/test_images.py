import os
import re
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dhr.data import palette, read_mask, read_rgb, read_size, write_mask
from dhr.errors import DhrError, ItemError, OutputError, ShapeError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)

# What the stored rows and columns become, written out from the EXIF standard: 1..8 name where row 0 and column 0 are.
UPRIGHT = {
    1: PIXELS,
    2: PIXELS[:, ::-1],  # row 0 top, column 0 right
    3: PIXELS[::-1, ::-1],  # bottom, right
    4: PIXELS[::-1],  # bottom, left
    5: PIXELS.transpose(1, 0, 2),  # left, top
    6: PIXELS[::-1].transpose(1, 0, 2),  # right, top
    7: PIXELS[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: PIXELS[:, ::-1].transpose(1, 0, 2),  # left, bottom
}


def one_line(error: pytest.ExceptionInfo[DhrError], path: Path) -> str:
    text = str(error.value)
    assert "\n" not in text and str(path) in text and len(text) < 500
    return text


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_every_orientation_comes_out_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(read_rgb(path), UPRIGHT[orientation])
    assert read_size(path) == UPRIGHT[orientation].shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_jpeg(tmp_path: Path, orientation: int) -> None:
    quadrants = np.zeros((32, 48, 3), np.uint8)
    quadrants[:16, :24], quadrants[:16, 24:], quadrants[16:, :24] = 220, 140, 70
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(quadrants).save(tmp_path / "a.jpg", exif=exif, quality=95)
    plain = {
        1: quadrants,
        2: quadrants[:, ::-1],
        3: quadrants[::-1, ::-1],
        4: quadrants[::-1],
        5: quadrants.transpose(1, 0, 2),
        6: quadrants[::-1].transpose(1, 0, 2),
        7: quadrants[::-1, ::-1].transpose(1, 0, 2),
        8: quadrants[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    got = read_rgb(tmp_path / "a.jpg")
    assert got.shape == plain.shape
    assert np.abs(got.astype(int) - plain).max() < 30


def test_impossible_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), PIXELS)
    Image.fromarray(PIXELS).save(tmp_path / "b.png", exif=b"Exif\0\0garbage")
    assert np.array_equal(read_rgb(tmp_path / "b.png"), PIXELS)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_uses_the_whole_range(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 25700, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    assert read_rgb(tmp_path / f"a.{suffix}")[0].tolist() == [[0] * 3, [1] * 3, [100] * 3, [255] * 3]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),
        ([0, 25700, 65535], [0, 100, 255]),
        ([-100, 0, 100], [0, 128, 255]),
        ([7, 7, 7], [7, 7, 7]),
        ([100000, 100000, 100000], [0, 0, 0]),
    ],
)
def test_32_bit_integers(tmp_path: Path, values: list[int], expected: list[int]) -> None:
    Image.fromarray(np.array([values], np.int32)).save(tmp_path / "a.tif")
    assert read_rgb(tmp_path / "a.tif")[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 100, 255], [0, 100, 255]),
        ([-1, 0, 1], [0, 128, 255]),
        ([0, np.nan, 1], [0, 0, 255]),
        ([np.nan, np.nan, np.nan], [0, 0, 0]),
        ([0, 1, np.inf], [0, 255, 255]),
    ],
)
def test_floats(tmp_path: Path, values: list[float], expected: list[int]) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    assert read_rgb(tmp_path / "a.tif")[0, :, 0].tolist() == expected


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert read_rgb(tmp_path / "a.tif")[0, 0].tolist() == [255, 0, 0]
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_rgb(tmp_path / "a.jpg")[8, 8].astype(int) - [255, 0, 0]).max() < 12


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 100, 0])
    image.save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png")[0].tolist() == [[10, 20, 30], [200, 0, 0], [0, 100, 0]]
    image.save(tmp_path / "b.png", transparency=bytes([0, 255, 128]))
    got = read_rgb(tmp_path / "b.png")[0].astype(int)
    assert got[0].tolist() == [255, 255, 255] and got[1].tolist() == [200, 0, 0]
    assert np.abs(got[2] - [127, 177, 127]).max() <= 1
    image.save(tmp_path / "c.gif", transparency=1)
    assert read_rgb(tmp_path / "c.gif")[0].tolist() == [[10, 20, 30], [255, 255, 255], [0, 100, 0]]


def test_grey_alpha_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "l.png")
    assert np.array_equal(read_rgb(tmp_path / "l.png"), np.stack([GREY] * 3, axis=2))
    Image.fromarray(GREY).save(tmp_path / "t.png", transparency=int(GREY[0, 0]))
    assert read_rgb(tmp_path / "t.png")[0, 0].tolist() == [255, 255, 255]
    Image.merge("LA", [Image.new("L", (2, 2), 0), Image.new("L", (2, 2), 0)]).save(tmp_path / "la.png")
    assert (read_rgb(tmp_path / "la.png") == 255).all()
    Image.new("RGBA", (2, 2), (200, 0, 0, 128)).save(tmp_path / "rgba.png")
    assert np.abs(read_rgb(tmp_path / "rgba.png")[0, 0].astype(int) - [227, 127, 127]).max() <= 1
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "one.png")
    assert read_rgb(tmp_path / "one.png")[0].tolist() == [[255] * 3, [0] * 3]


def test_rgb_with_a_transparent_colour(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png", transparency=tuple(int(value) for value in PIXELS[0, 0]))
    got = read_rgb(tmp_path / "a.png")
    assert got[0, 0].tolist() == [255, 255, 255] and np.array_equal(got[1:], PIXELS[1:])


def test_first_frame_and_suffix_that_lies(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_rgb(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]
    frames[0].save(tmp_path / "b.tif", save_all=True, append_images=frames[1:])
    assert read_rgb(tmp_path / "b.tif")[0, 0].tolist() == [255, 0, 0]
    (tmp_path / "c.jpg").write_bytes((tmp_path / "a.gif").read_bytes())
    assert read_rgb(tmp_path / "c.jpg")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "gif"])
def test_one_pixel(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (1, 1), "white").save(tmp_path / f"a.{suffix}")
    assert read_rgb(tmp_path / f"a.{suffix}").tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "gif"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
def test_truncated(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ItemError) as error:
        read_rgb(path)
    one_line(error, path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "tif", "gif", "webp", "bmp"]))
def test_damage_never_escapes_as_another_error(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    for read in (read_rgb, read_mask, read_size):
        try:
            read(path, 10_000) if read is not read_mask else read(path)  # type: ignore[operator]
        except ItemError as error:
            assert "\n" not in str(error)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    expected = {
        "text.jpg": "something else",
        "empty.png": "empty file",
        "folder.png": "got a folder",
        "pipe.png": "special file",
        "gone.png": "found none",
    }
    for name, words in expected.items():
        with pytest.raises(ItemError) as error:
            read_rgb(tmp_path / name)
        assert words in one_line(error, tmp_path / name)


def test_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    Image.new("1", (20_000, 15_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ItemError, match="20000x15000 is 300 megapixels, over the limit of 250"):
        read_rgb(tmp_path / "bomb.png")
    with pytest.raises(ItemError, match="over the limit"):
        read_rgb(tmp_path / "bomb.png", max_pixels=1000)


@pytest.mark.filterwarnings("error")
def test_100_megapixels_in_little_more_memory_than_the_result(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    Image.new("L", (10_000, 10_000), 77).save(tmp_path / "a.png", compress_level=1)
    tracemalloc.start()
    pixels = read_rgb(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pixels.shape == (10_000, 10_000, 3) and (pixels[::999, ::999] == 77).all()
    assert peak < 400e6  # the result takes 300 MB
    assert limit == Image.MAX_IMAGE_PIXELS


def test_strips_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    monkeypatch.setattr("dhr.data.images._STRIP", 15)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), UPRIGHT[6])


def test_threads(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(8)]
    for index, path in enumerate(paths):
        Image.new("RGB", (50, 40), (index, 0, 0)).save(path)
    got: dict[int, int] = {}
    workers = [
        threading.Thread(target=lambda i=index: got.update({i: int(read_rgb(paths[i])[0, 0, 0])})) for index in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert got == {index: index for index in range(8)}


def test_palette_is_that_of_voc() -> None:
    # From the development kit: background, aeroplane, bicycle, bird, ..., tvmonitor, void.
    colours = palette()
    assert colours.shape == (256, 3) and colours.dtype == np.uint8
    assert colours[[0, 1, 2, 3, 4, 8, 15, 20]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [64, 0, 0],
        [192, 128, 128],
        [0, 64, 128],
    ]
    assert colours[255].tolist() == [224, 224, 192]
    assert len(np.unique(colours, axis=0)) == 256


def test_palette_of_a_real_voc_mask(shared: Path) -> None:
    path = next(iter(sorted((shared / "voc2012" / "SegmentationClass").glob("*.png"))))
    stored = Image.open(path).getpalette()
    assert stored is not None and palette().ravel().tolist()[: len(stored)] == stored


def test_masks_come_back_and_bytes_are_the_same(tmp_path: Path) -> None:
    labels = RNG.integers(0, 256, (37, 53), dtype=np.uint8)
    write_mask(tmp_path / "deep" / "a.png", labels)
    write_mask(tmp_path / "b.png", labels, palette())
    assert np.array_equal(read_mask(tmp_path / "deep" / "a.png", (37, 53)), labels)
    assert (tmp_path / "deep" / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(tmp_path / "b.png").mode == "P"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]
    backwards = np.ascontiguousarray(labels)[::-1, ::2]
    write_mask(tmp_path / "c.png", backwards)
    assert np.array_equal(read_mask(tmp_path / "c.png"), backwards)


def test_masks_of_few_bits_and_grey(tmp_path: Path) -> None:
    labels = RNG.integers(0, 4, (9, 11), dtype=np.uint8)
    Image.fromarray(labels).save(tmp_path / "grey.png")
    assert np.array_equal(read_mask(tmp_path / "grey.png"), labels)
    image = Image.fromarray(labels)
    image.putpalette(palette().tobytes())
    image.save(tmp_path / "two.png", bits=2)
    assert np.array_equal(read_mask(tmp_path / "two.png"), labels)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.fromarray(PIXELS), "8-bit RGB PNG"),
        (Image.fromarray(np.zeros((5, 7), np.uint16)), "16-bit greyscale PNG"),
        (Image.new("RGBA", (7, 5)), "8-bit RGB with alpha PNG"),
        (Image.new("LA", (7, 5)), "8-bit greyscale with alpha PNG"),
        (Image.new("1", (7, 5)), "1-bit greyscale PNG"),
    ],
)
def test_masks_of_other_kinds(tmp_path: Path, image: Image.Image, words: str) -> None:
    path = tmp_path / "a.png"
    image.save(path)
    with pytest.raises(ItemError, match=words) as error:
        read_mask(path)
    assert "indexed (mode P) or 8-bit greyscale (mode L)" in one_line(error, path)


def test_masks_of_the_wrong_size_or_format(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", GREY)
    with pytest.raises(ItemError, match=re.escape("9x8 pixels (width x height) as its photograph, got 7x5")):
        read_mask(tmp_path / "a.png", (8, 9))
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    with pytest.raises(ItemError, match="expected a mask in PNG, got JPEG"):
        read_mask(tmp_path / "a.jpg")


def test_masks_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_mask(tmp_path / "file" / "a.png", GREY)
    with pytest.raises(ShapeError):
        write_mask(tmp_path / "a.png", np.zeros((0, 4), np.uint8))
