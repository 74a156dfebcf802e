"""Masks as paint programs and optimisers save them: read as what they show, or refused with the remedy."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dhr.data import VOID, ClassTable, write_mask
from dhr.data.labels import Storage, plain, read_labels
from dhr.data.palette import class_palette
from dhr.errors import ItemError

TABLE = ClassTable(("background", *(f"class {number}" for number in range(1, 21))), True)
STORAGE = replace(plain(TABLE), own_palette=True)
LABELS = np.array([[0, 0, 1, 1, 1], [0, 15, 15, 20, 255], [0, 1, 15, 20, 20]], np.uint8)
COLOURS = class_palette(TABLE)
Saver = Callable[[Path, np.ndarray], object]


def indexed(path: Path, labels: np.ndarray, colours: np.ndarray, **options: object) -> None:
    """An indexed PNG whose palette has just the colours given."""
    image = Image.fromarray(labels)
    image.putpalette(colours.astype(np.uint8).tobytes())
    image.save(path, **options)


def sorted_anew(path: Path, labels: np.ndarray, order: Callable[[np.ndarray], np.ndarray], **options: object) -> None:
    """Only the colours that are used, in another order."""
    used = order(np.unique(labels))
    numbers = np.zeros(256, np.uint8)
    numbers[used] = np.arange(len(used))
    indexed(path, numbers[labels], COLOURS[used], **options)


def png(path: Path, rows: np.ndarray, depth: int, colour: int) -> None:
    """A PNG whose rows are written as bytes, for kinds that Pillow does not write."""
    height = len(rows)
    width = {2: 3, 4: 2, 6: 4}.get(colour, 1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", rows.shape[1] * 8 // depth // width, height, depth, colour, 0, 0, 0)
    chunks = b""
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def with_alpha(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255, np.uint8)], axis=2)


READ: dict[str, Saver] = {
    "as dhr writes it": write_mask,
    "greyscale": lambda path, labels: Image.fromarray(labels).save(path),
    "16 bits": lambda path, labels: Image.fromarray(labels.astype(np.uint16)).save(path),
    "16 bits, scaled": lambda path, labels: Image.fromarray(labels.astype(np.uint16) * 257).save(path),
    "16 bits, void as the largest value": lambda path, labels: Image.fromarray(
        np.where(labels == VOID, 65535, labels.astype(np.uint16)).astype(np.uint16)
    ).save(path),
    "RGB": lambda path, labels: Image.fromarray(COLOURS[labels]).save(path),
    "RGBA": lambda path, labels: Image.fromarray(with_alpha(COLOURS[labels])).save(path),
    "grey ids as RGB": lambda path, labels: Image.fromarray(np.repeat(labels[..., None], 3, 2)).save(path),
    "greyscale with alpha": lambda path, labels: Image.fromarray(labels).convert("LA").save(path),
    "interlaced or not, sorted by colour": lambda path, labels: sorted_anew(path, labels, lambda used: used[::-1]),
    "reduced to the colours used": lambda path, labels: sorted_anew(path, labels, lambda used: used),
    "reduced, 4 bits": lambda path, labels: sorted_anew(path, labels, lambda used: used[[2, 0, 4, 1, 3]], bits=4),
    "adaptive palette": lambda path, labels: (
        Image.fromarray(COLOURS[labels]).convert("P", palette=Image.Palette.ADAPTIVE, colors=5).save(path)
    ),
    "whole palette turned round": lambda path, labels: indexed(path, 255 - labels, COLOURS[::-1]),
    "palette of its own": lambda path, labels: indexed(
        path, labels, np.random.default_rng(0).integers(1, 255, (256, 3))
    ),
    "ramp of greys": lambda path, labels: indexed(path, labels, np.repeat(np.arange(256)[:, None], 3, 1)),
    "no colours at all": lambda path, labels: indexed(path, labels, np.zeros((256, 3))),
    "transparent background in the palette": lambda path, labels: indexed(path, labels, COLOURS, transparency=0),
}


@pytest.mark.parametrize("kind", READ)
def test_a_mask_is_read_as_what_it_shows(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.png"
    READ[kind](path, LABELS)
    assert np.array_equal(read_labels(path, STORAGE, (3, 5)), LABELS)


def soft(path: Path, labels: np.ndarray) -> None:
    """A brush with soft edges: blends of a class's colour and black."""
    rgb = COLOURS[labels].astype(np.float64)
    rgb[:, 1:4] = (rgb[:, :3] + rgb[:, 1:4] + rgb[:, 2:5]) / 3
    Image.fromarray(rgb.round().astype(np.uint8)).save(path)


def faded(path: Path, labels: np.ndarray) -> None:
    rgba = with_alpha(COLOURS[labels])
    rgba[0, :2, 3] = (0, 100)
    Image.fromarray(rgba).save(path)


def foreign(path: Path, labels: np.ndarray) -> None:
    """Reduced to the colours used, and one of them is of no class."""
    used = np.unique(labels)[::-1]
    numbers = np.zeros(256, np.uint8)
    numbers[used] = np.arange(len(used))
    colours = COLOURS[used].copy()
    colours[2] = (1, 2, 3)
    indexed(path, numbers[labels], colours)


def renumbered_greys(path: Path, labels: np.ndarray) -> None:
    used = np.unique(labels)
    indexed(path, np.searchsorted(used, labels).astype(np.uint8), np.repeat(used[:, None], 3, 1))


REFUSED: dict[str, tuple[Saver, str]] = {
    "soft edges": (soft, r"the colour \(.*and \d+ more \(\d+ pixels in all\); paint with hard edges"),
    "transparent pixels": (faded, "got 2 transparent pixels, which have no class; flatten the image"),
    "a strange colour among sorted ones": (foreign, r"the colour \(1, 2, 3\) of no class in 3 pixels"),
    "greys that were numbered again": (renumbered_greys, "numbers and grey levels of the palette to be the same"),
    "JPEG": (lambda path, labels: Image.fromarray(labels).save(path, "JPEG"), "got JPEG, which may change pixel val"),
    "TIFF": (lambda path, labels: Image.fromarray(labels).save(path, "TIFF"), "expected a mask in PNG, got TIFF; save"),
    "1 bit": (lambda path, labels: Image.fromarray(labels > 0).save(path), "a 1-bit greyscale PNG; save it as"),
    "2 bits": (lambda path, labels: png(path, np.array([[0x1B]], np.uint8), 2, 0), "a 2-bit greyscale PNG; save it"),
    "16-bit RGB": (lambda path, labels: png(path, np.zeros((1, 6), np.uint8), 16, 2), "a 16-bit RGB PNG; save it as"),
    "16-bit grey with alpha": (
        lambda path, labels: png(path, np.zeros((1, 4), np.uint8), 16, 4), "a 16-bit greyscale with alpha PNG; save it",
    ),
    "16 bits that are no ids": (
        lambda path, labels: Image.fromarray(labels.astype(np.uint16) * 300).save(path), "got the 16-bit value 300",
    ),
    "a number of no class": (lambda path, labels: write_mask(path, labels + (labels == 20)), "got 21 in 3 pixels"),
    "another palette's colours": (
        lambda path, labels: Image.fromarray(np.roll(COLOURS, 1, axis=1)[labels]).save(path), "of no class",
    ),
    "white for black": (
        lambda path, labels: indexed(path, (labels > 0).astype(np.uint8), np.array([[255] * 3, [0] * 3])),
        "numbers and grey levels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_for_certain_is_refused(tmp_path: Path, kind: str) -> None:
    save, reason = REFUSED[kind]
    save(tmp_path / "m.png", LABELS)
    with pytest.raises(ItemError, match=reason) as error:
        read_labels(tmp_path / "m.png", STORAGE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", [0, 1])
def test_black_and_white_to_look_at_is_read_by_number(tmp_path: Path, number: int) -> None:
    labels = np.array([[0, 1, 1], [number] * 3], np.uint8)
    for colours in ([[0] * 3, [255] * 3], [[0] * 3, [255] * 3, *[[0] * 3] * 14]):
        indexed(tmp_path / "m.png", labels, np.array(colours), bits=4)
        assert np.array_equal(read_labels(tmp_path / "m.png", STORAGE), labels)


def test_greys_count_where_numbers_are_no_ids(tmp_path: Path) -> None:
    table = ClassTable(("cat", "dog"), False)
    storage = Storage(table, (10, 20), own_palette=True)
    renumbered_greys(tmp_path / "m.png", np.array([[10, 20, 255]], np.uint8))
    assert read_labels(tmp_path / "m.png", storage).tolist() == [[0, 1, VOID]]


@given(
    st.lists(st.integers(0, 20) | st.just(VOID), min_size=4, max_size=12),
    st.randoms(use_true_random=False),
    st.sampled_from(["RGB", "sorted", "reduced"]),
)
def test_any_mask_whose_colours_are_the_classes_is_read_by_them(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[int], random: Random, kind: str
) -> None:
    """Whatever order a program gives to the palette."""
    labels = np.array([[*drawn, 1]], np.uint8)  # one colour besides black
    path = tmp_path_factory.getbasetemp() / "property.png"
    if kind == "RGB":
        Image.fromarray(COLOURS[labels]).save(path)
    else:
        order = list(np.unique(labels))
        if kind == "sorted":
            random.shuffle(order)
        sorted_anew(path, labels, lambda used: np.array(order))
    assert np.array_equal(read_labels(path, STORAGE), labels)


def test_colours_do_not_count_where_a_data_set_has_its_own_numbers(tmp_path: Path) -> None:
    sorted_anew(tmp_path / "m.png", LABELS, lambda used: used[::-1])
    with pytest.raises(ItemError, match="got 0 in 1 pixels"):
        read_labels(tmp_path / "m.png", Storage(TABLE, tuple(range(100, 121))))
