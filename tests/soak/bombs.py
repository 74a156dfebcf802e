"""Small files that unpack to huge ones, or nest without end, for every reader: one line, in bounded memory."""

import io
import json
import random
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from .calls import told
from .session import Session

LIMIT_MB = 7_000
"""Address space beyond what the process has at its start. Threads reserve much of it and use little, and files of
weights are mapped: the bound that counts is the next one."""
USED_MB = 900
"""Resident memory beyond that of a command that reads nothing. The largest image that is allowed takes 750 MB."""

Make = Callable[[Path], list[str]]
"""Spoils a copy of the stock, and returns the arguments of a call that reads it."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def _zeros(size: int) -> bytes:
    """That many zeros, deflated; made in parts."""
    packer, part = zlib.compressobj(1), bytes(1 << 20)
    return b"".join([*(packer.compress(part) for _ in range(size >> 20)), packer.flush()])


def _png(side: int, *chunks: bytes, data: bytes | None = None) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    content = zlib.compress(bytes((1 + 3 * side) * side)) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def _tiff(side: int) -> bytes:
    """A deflated TIFF of one strip that is shorter than its header says."""
    strip, tags = zlib.compress(bytes(1000)), []
    for tag, kind, value in ((256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 200),
                             (277, 3, 1), (278, 4, side), (279, 4, len(strip))):  # fmt: skip
        tags.append(struct.pack("<HHII", tag, kind, 1, value))
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)
    return head.ljust(200, b"\0") + strip


@cache
def _npz(shape: tuple[int, ...]) -> bytes:
    """An archive whose array unpacks to much more than the archive."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("cams.npy", "w", force_zip64=True) as one,
    ):
        one.write(head.getvalue())
        for _ in range(512):
            one.write(bytes(1 << 20))
    return file.getvalue()


@cache
def _xlsx() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as one:
            for _ in range(1_024):
                one.write(b"<row/>" * (1 << 17))
    return file.getvalue()


@cache
def _parquet() -> bytes:
    """A table whose rows all hold the same text, which is stored once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, text = io.BytesIO(), pa.array(["x" * 1_000])
    rows = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000_000, np.int32)), text)
    table = pa.table({"id": rows, "uri": rows, "image": rows, "tags": rows})
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(64)


def _sparse(path: Path) -> None:
    """Five gigabytes that take no place on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(5_000_000_000)


ENTITIES = "<!DOCTYPE a [<!ENTITY b0 'x'>" + "".join(
    f"<!ENTITY b{n} '{f'&b{n - 1};' * 10}'>" for n in range(1, 12)
) + "]>"  # fmt: skip
ALIASES = "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
DEEP = "[" * 1_000_000
TENSOR = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 64]}

GIF = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\0;"
BMP = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
IMAGES: dict[str, Callable[[], bytes]] = {
    "png of 3.6 gigapixels": lambda: _png(60_000, data=_zeros(1 << 26)),
    "png of 196 megapixels": lambda: _png(14_000, data=_zeros(14_000 * (1 + 3 * 14_000))),
    "png with a packed text": lambda: _png(8, _chunk(b"zTXt", b"a\0\0" + _zeros(1 << 30))),
    "png with many packed texts": lambda: _png(8, *[_chunk(b"zTXt", b"a\0\0" + _zeros(1 << 26))] * 64),
    "png with an international text": lambda: _png(8, _chunk(b"iTXt", b"a\0\1\0\0\0" + _zeros(1 << 30))),
    "png with a packed profile": lambda: _png(8, _chunk(b"iCCP", b"a\0\0" + _zeros(1 << 30))),
    "png whose data goes on": lambda: _png(8, data=_zeros(1 << 30)),
    "gif of a huge screen": lambda: GIF,
    "bmp of a huge size": lambda: BMP,
    "tiff of 225 megapixels": lambda: _tiff(15_000),
    "tiff of 3.6 gigapixels": lambda: _tiff(60_000),
}


def _photograph(content: Callable[[], bytes], *arguments: str) -> Make:
    def make(root: Path) -> list[str]:
        target = sorted((root / "data" / "images").glob("*.png"))[0]
        target.write_bytes(content())
        return [one.replace("@", f"{root}/") for one in arguments]

    return make


def _file(name: str, content: str | bytes | Callable[[], bytes] | None, *arguments: str) -> Make:
    """Write a file of the stock; without content, one that is far too large."""

    def make(root: Path) -> list[str]:
        path = root / name
        if content is None:
            _sparse(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            made = content() if callable(content) else content
            path.write_bytes(made.encode() if isinstance(made, str) else made)
        return [one.replace("@", f"{root}/") for one in arguments]

    return make


def _mask(content: Callable[[], bytes], *arguments: str) -> Make:
    def make(root: Path) -> list[str]:
        target = sorted((root / "out" / "masks").rglob("*.png"))[0]
        target.write_bytes(content())
        return [one.replace("@", f"{root}/") for one in arguments]

    return make


def _cams(content: Callable[[], bytes], suffix: str) -> Make:
    def make(root: Path) -> list[str]:
        for image in (root / "data" / "images").rglob("*.png"):
            place = root / "cams" / image.relative_to(root / "data" / "images").with_suffix(suffix)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content())
        data = ["run", "--data", f"{root}/data", "--out", f"{root}/new", "--wss.kind", "files"]
        return [*data, "--wss.maps", f"{root}/cams", "--uss.kind", "colour", "--uss.weights", "none"]

    return make


_INSPECT = ("inspect", "--data", "@data")
_ODD = ("inspect", "--data", "@odd")
_CVAT = "odd/annotations.xml"
_RUN = ("run", "--data", "@data", "--out", "@new", "--config", "@my.yaml")
_PREDICT = ("predict", "--student", "@student", "--images", "@data/images", "--out", "@new")
_EVALUATE = ("evaluate", "--data", "@data", "--masks", "@out/masks", "--resamples", "0")
_EXPORT = ("export", "--data", "@data", "--masks", "@out/masks", "--to", "coco", "--file", "@file")
_UPDATE = ("update", "--run", "@out", "--data", "@data")
_IMPORT = ("import", "--run", "@out", "--data", "@data", "--from")


def _bombs() -> dict[str, Make]:
    found: dict[str, Make] = {}
    for name, content in IMAGES.items():
        found[f"inspect: {name}"] = _photograph(content, *_INSPECT)
        found[f"predict: {name}"] = _photograph(content, *_PREDICT)
        found[f"evaluate: {name}"] = _mask(content, *_EVALUATE)
        found[f"export: {name}"] = _mask(content, *_EXPORT)
    texts: dict[str, str | bytes | None] = {
        "deep": DEEP,
        "sparse": None,
        "a long number": '{"images": ' + "9" * 5_000_000 + "}",
    }
    for kind, content in texts.items():
        for file in ("tags.jsonl", "annotations/instances_train2017.json", "annotations/default.json", "export.json"):
            found[f"inspect: {kind} {file}"] = _file(f"odd/{file}", content, *_ODD)
        for file in ("out/run.json", "out/work/scan.json"):
            found[f"update: {kind} {file}"] = _file(file, content, *_UPDATE)
        found[f"import: {kind} COCO"] = _file("mended", content, *_IMPORT, "coco", "@mended")
        found[f"run: {kind} YAML"] = _file("my.yaml", content, *_RUN)
        found[f"inspect: {kind} tags.csv"] = _file("data/tags.csv", content, *_INSPECT)
        found[f"inspect: {kind} classes.txt"] = _file("data/classes.txt", content, *_INSPECT)
        found[f"inspect: {kind} XML"] = _file("odd/annotations.xml", content, "inspect", "--data", "@odd")
        found[f"inspect: {kind} YOLO"] = _file(
            "odd/data.yaml", content, "inspect", "--data", "@odd", "--format", "yolo"
        )
        found[f"predict: {kind} student"] = _file("student", content, *_PREDICT)
        found[f"run: {kind} classifier"] = _file(
            "c", content, *_RUN[:-2], "--classifier.file", "@c", "--uss.kind", "colour", "--uss.weights", "none"
        )
    many = {f"a{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(300_000)}
    entities = ENTITIES + "<annotations>&b11;</annotations>"
    return found | {
        "inspect: entities": _file(_CVAT, entities, *_ODD),
        "inspect: deep XML": _file(_CVAT, "<a>" * 1_000_000, *_ODD),
        "inspect: deep XML of CVAT": _file(_CVAT, "<annotations>" + "<image>" * 500_000, *_ODD, "--format", "cvat"),
        "import: entities": _file("mended.xml", entities, *_IMPORT, "cvat", "@mended.xml"),
        "run: aliases": _file("my.yaml", ALIASES, *_RUN),
        "run: deep YAML": _file("my.yaml", "a: " + "{a: " * 100_000, *_RUN),
        "inspect: aliases": _file("odd/data.yaml", ALIASES, *_ODD, "--format", "yolo"),
        "inspect: spreadsheet": _file("data/tags.xlsx", _xlsx, *_INSPECT),
        "inspect: Parquet": _file("photos.parquet", _parquet, "inspect", "--data", "@photos.parquet"),
        "inspect: a folder of Parquet": _file("odd/train.parquet", _parquet, *_ODD),
        "predict: header of 2^62 bytes": _file("student", _safetensors(b"{}", 1 << 62), *_PREDICT),
        "predict: deep header": _file("student", _safetensors(DEEP.encode()), *_PREDICT),
        "predict: header of spaces": _file("student", _safetensors(b"{}".ljust(90_000_000)), *_PREDICT),
        "predict: huge tensor": _file("student", _safetensors(json.dumps({"a": TENSOR}).encode()), *_PREDICT),
        "predict: many tensors": _file("student", _safetensors(json.dumps(many).encode()), *_PREDICT),
        "run: maps of 4 TB": _cams(lambda: _npz((1, 1_000_000, 1_000_000)), ".npz"),
        "run: maps of 512 MB": _cams(lambda: _npz((128, 1024, 1024)), ".npz"),
    }


BOMBS = _bombs()


def bomb(session: Session, seed: int) -> Counter[str]:
    """Give one of them to a command, under a limit of memory."""
    names = sorted(BOMBS)
    random.Random(0).shuffle(names)
    name, place = names[seed % len(names)], session.place()
    idle = session.idle_mb
    ended = session.forks(BOMBS[name](place), memory_mb=LIMIT_MB)
    try:
        told(ended)
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from None
    assert "memory" not in ended.err, f"{name}: {ended.err}"
    assert ended.peak_mb < idle + USED_MB, f"{name}: {ended.peak_mb - idle:.0f} MB"
    return Counter({"rounds": 1, f"code {ended.code}": 1})
