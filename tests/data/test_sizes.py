"""What is read of a file is bounded by its picture or its arrays, whatever its header says; counted in bytes read."""

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from dhr.data import image_files
from dhr.data.array_files import read_npy, read_npz
from dhr.data.image_files import MAX_HEADER, Content
from dhr.data.images import read_mask, read_rgb, read_size
from dhr.data.plain_pickle import Refused, read_plain_pickle
from dhr.errors import ItemError

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
GIGABYTES = 3_000_000_000


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call has read of an image file."""
    calls: list[int] = []
    before = image_files._Metered.read

    def read(self: Any, size: int | None = -1) -> bytes:
        content = before(self, size)
        calls.append(len(content))
        return content

    monkeypatch.setattr(image_files._Metered, "read", read)
    return calls


def chunk(name: bytes, content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return struct.pack(">I", size) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(*before: bytes) -> bytes:
    """A PNG with chunks between its header and its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    content = buffer.getvalue()
    return content[:33] + b"".join(before) + content[33:]


def webp(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, "WEBP")
    os.truncate(path, GIGABYTES)


def webp_that_says_so(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, "WEBP")
    with path.open("r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", GIGABYTES - 8))
    os.truncate(path, GIGABYTES)


def png_with_a_large_chunk(path: Path) -> None:
    path.write_bytes(png_of()[:33] + struct.pack(">I", 2_000_000_000) + b"zzZz")
    os.truncate(path, GIGABYTES)


def tiff_with_a_large_tag(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, "TIFF")
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, start)
    struct.pack_into("<HHII", content, start + 2 + 12 * (entries - 1), 50_000, 7, 2_000_000_000, 100)
    path.write_bytes(content)
    os.truncate(path, GIGABYTES)


def tiff_with_a_large_strip(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, "TIFF", compression="tiff_lzw", tiffinfo={})
    _set_tag(path, TiffImagePlugin.STRIPBYTECOUNTS, 2_000_000_000)
    os.truncate(path, GIGABYTES)


def _set_tag(path: Path, tag: int, value: int) -> None:
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, start)
    for index in range(entries):
        at = start + 2 + 12 * index
        if struct.unpack_from("<H", content, at)[0] == tag:
            struct.pack_into("<HHII", content, at, tag, 4, 1, value)
    path.write_bytes(content)


def gif_of_comments(path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., 0]).save(buffer, "GIF")
    content = buffer.getvalue()
    start = 13 + 3 * 2 ** ((content[10] & 7) + 1)
    comment = b"\x21\xfe" + (b"\xff" + b"a" * 255) * 8000 + b"\0"
    path.write_bytes(content[:start] + comment + content[start:])


@pytest.mark.parametrize(
    "make",
    [webp, webp_that_says_so, png_with_a_large_chunk, tiff_with_a_large_tag, tiff_with_a_large_strip, gif_of_comments],
)
@pytest.mark.parametrize("reader", [read_rgb, read_size])
def test_a_sparse_file_costs_little_more_than_its_picture(
    make: Callable[[Path], None], reader: Callable[[Path], Any], tmp_path: Path, counted: list[int]
) -> None:
    path = tmp_path / "image"
    make(path)
    try:
        found = reader(path)
    except ItemError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert (found if isinstance(found, tuple) else found.shape[:2]) == (20, 30)
    assert sum(counted) <= MAX_HEADER + 16 * 600 + 1000
    assert max(counted) <= MAX_HEADER + 16 * 600 + 1000


def test_huge_files_are_refused_before_they_are_opened(tmp_path: Path, counted: list[int]) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(PIXELS).save(path)
    os.truncate(path, 10**12)
    for reader in (read_rgb, read_size, read_mask):
        with pytest.raises(ItemError, match="over the limit of 8000 MB; make it smaller"):
            reader(path)
    assert not counted


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "gif"])
@pytest.mark.parametrize("kept", [False, True])
def test_ordinary_files_are_read_as_before(suffix: str, kept: bool, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    large = np.kron(PIXELS, np.ones((20, 20, 1), np.uint8))
    Image.fromarray(large).save(path, **({"lossless": True} if suffix == "webp" else {}))
    read = read_rgb(Content("image", path.read_bytes()) if kept else path)
    assert read.shape == large.shape
    if suffix not in ("jpg", "gif"):
        assert (read == large).all()


def test_profiles_and_texts_of_some_megabytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png_of(chunk(b"zzZz", bytes(5_000_000))))
    assert (read_rgb(path) == PIXELS).all()


def packed(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode() + b" " * 10 + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


ARRAY = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
MOST = 1_000_000


def test_arrays_come_back(tmp_path: Path) -> None:
    found = read_npz(
        packed(tmp_path / "a.npz", cams=npy(ARRAY), t=npy(np.asfortranarray(ARRAY)), n=npy(np.int64(3))), MOST
    )
    assert (found["cams"] == ARRAY).all() and (found["t"] == ARRAY).all() and found["n"] == 3
    assert set(read_npz(tmp_path / "a.npz", MOST, ("cams",))) == {"cams"}
    (tmp_path / "a.npy").write_bytes(npy(ARRAY))
    assert (read_npy(tmp_path / "a.npy", MOST) == ARRAY).all()
    np.save(tmp_path / "b.npy", np.array({"keys": np.arange(2)}, dtype=object), allow_pickle=True)
    assert (read_npy(tmp_path / "b.npy", MOST)["keys"] == [0, 1]).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(50_000_000), "unpack to more than"),
        (header((10**12,)), "does not fit"),
        (header((10**6, 10**6, 10**6)), "does not fit"),
        (header((-1, 24)) + bytes(96), "does not fit"),
        (header((24,)) + bytes(95), "does not fit"),
        (header((1,), "|O") + pickle.dumps(1), "objects"),
        (b"\x93NUMPY\x09\x00" + bytes(90), "version"),
        (b"", "damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff", "damaged"),
        (header((24,), "<f999") + bytes(96), "damaged"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_unpacked(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=said) as error:
        read_npz(packed(tmp_path / "a.npz", cams=content), MOST)
    assert len(str(error.value).splitlines()) == 1
    if said in ("does not fit", "version"):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(Refused, match=said):
            read_npy(tmp_path / "a.npy", MOST)


def test_archives_that_are_damaged_or_lie_about_sizes_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", cams=npy(ARRAY))
    content = path.read_bytes()
    size = struct.pack("<I", len(npy(ARRAY)))
    for change in (
        content[:-30],
        b"",
        b"PK\x03\x04" + bytes(200),
        content.replace(size, struct.pack("<I", 5)),
        content.replace(size, struct.pack("<I", 900_000)),
    ):
        path.write_bytes(change)
        with pytest.raises(Refused) as error:
            read_npz(path, MOST)
        assert len(str(error.value).splitlines()) == 1
    os.truncate(path, 10**12)
    with pytest.raises(OSError, match="over the limit"):
        read_npz(path, MOST)


def doubling() -> bytes:
    """Lists that hold the one before ten times, eight levels of them: 100 bytes for 10**8 entries."""
    value: Any = [1.0] * 10
    for _ in range(7):
        value = [value] * 10
    return pickle.dumps(value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (doubling(), "over 1000000 parts"),
        (b"\x80\x04N" + b"r" + struct.pack("<I", 0xFFFFFFF0) + b".", "places that do not exist"),
        (b"N0" * 600_000 + b"N.", "over 1000000 steps"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.", "damaged"),
        (b"\x80\x04\x8b" + struct.pack("<I", 0x7FFFFFFF) + b".", "damaged"),
        (b"(" * 5000 + b".", "damaged"),
        (b"", "damaged"),
    ],
)
def test_pickles_that_grow_are_refused(content: bytes, said: str, unchecked: None) -> None:
    assert len(content) < 2_000_000
    with pytest.raises(Refused, match=said) as error:
        read_plain_pickle(content)
    assert len(str(error.value).splitlines()) == 1
