"""What a fuzzer may change: small files of each kind, and the functions of dhr that read them."""

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dhr.data import open_data, read_mask, read_rgb, read_size
from dhr.data.classes import read_classes
from dhr.data.tags import read_tags
from dhr.errors import DhrError
from dhr.words import printable

from ..data import formats

CLASSES = 'background\ncat\ndog\nowl\nsay "x"\n'
MOST_PIXELS = 1_000_000


@dataclass(frozen=True)
class Target:
    """A kind of file."""

    seeds: Callable[[Path], list[tuple[str, bytes]]]
    """Names and contents of good files; a folder to work in may be used."""
    read: Callable[[Path], object]
    """Reads a file at its place in that folder; what it may raise are errors of dhr."""


def _tags() -> Target:
    files = [
        ("tags.csv", b'image,tags\na.png,cat;dog\n"b c.png",owl\nc,"cat; say ""x"""\nd.png,dog\n'),
        ("semicolons.csv", b'\xef\xbb\xbfimage;tags\r\na.png;"cat;dog"\r\nb c.png;owl\r\n'),
        ("tags.jsonl", b'{"image": "a.png", "tags": ["cat", "dog"]}\n{"image": "b c.png", "tags": ["say \\"x\\""]}\n'),
    ]

    def seeds(folder: Path) -> list[tuple[str, bytes]]:
        (folder / "classes.txt").write_text(CLASSES)
        return files

    def read(path: Path) -> None:
        classes = read_classes(path.parent / "classes.txt")
        for line in read_tags(path, classes):
            assert not (line.reason and line.tags) and all(0 < tag < len(classes.names) for tag in line.tags)
            assert line.reason is None or len(line.reason.splitlines()) == 1

    return Target(seeds, read)


_ANNOTATIONS = {
    "cvat": ("annotations.xml",),
    "label-studio": ("export.json",),
    "coco": ("annotations/instances_train2017.json",),
    "yolo": ("data.yaml", "labels/train/a.txt"),
    "datumaro": ("annotations/default.json",),
    "voc": ("VOCdevkit/VOC2012/Annotations/2007_000032.xml", "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"),
}


def _annotations(kind: str) -> Target:
    def seeds(folder: Path) -> list[tuple[str, bytes]]:
        formats.FORMATS[kind](folder)
        return [(name, (folder / name).read_bytes()) for name in _ANNOTATIONS[kind]]

    def read(path: Path) -> None:
        root = next(one for one in path.parents if one.name.startswith("fuzz-"))
        data = open_data(root, format=kind)
        names = [sample.name for sample in data.samples]
        assert names == sorted({*names}) and not any(name.startswith("/") or ".." in name.split("/") for name in names)
        for problem in data.problems:
            assert len(problem.reason.splitlines()) == 1 and problem.reason.isprintable(), problem
        for sample in data.samples:
            assert {*sample.tags} <= {*data.classes.foreground}
            try:
                data.read_ground_truth(sample)
            except DhrError as error:
                _one_line(error)

    return Target(seeds, read)


def _images() -> Target:
    def seeds(folder: Path) -> list[tuple[str, bytes]]:
        rgb = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6
        made = []
        for name, image, options in (
            ("a.jpg", rgb, {"exif": exif, "quality": 80}), ("b.jpg", rgb, {"progressive": True}), ("c.png", rgb, {}),
            ("d.png", rgb.quantize(8), {}), ("e.png", rgb.convert("LA"), {}), ("f.gif", rgb, {}), ("g.bmp", rgb, {}),
            ("h.tif", rgb, {"compression": "tiff_lzw"}), ("i.tif", rgb, {}), ("j.webp", rgb, {"lossless": True}),
        ):  # fmt: skip
            image.save(folder / name, **options)
            made.append((name, (folder / name).read_bytes()))
        return made

    def read(path: Path) -> None:
        shape = read_size(path, MOST_PIXELS)
        assert read_rgb(path, MOST_PIXELS).shape == (*shape, 3)
        if path.suffix == ".png":
            with suppress(DhrError):  # most are no masks
                read_mask(path)

    return Target(seeds, read)


def _png_chunks() -> Target:
    """PNG whose checksums are made right, so that changes reach the decoder."""

    def seeds(folder: Path) -> list[tuple[str, bytes]]:
        found = [content for name, content in _images().seeds(folder) if name.endswith(".png")]
        return [("chunks.png", b"".join(_bare(one))) for one in found]

    def read(path: Path) -> None:
        content, made = path.read_bytes(), b"\x89PNG\r\n\x1a\n"
        while len(content) >= 8:
            length, kind = min(struct.unpack(">I", content[:4])[0], len(content) - 8), content[4:8]
            data, content = content[8 : 8 + length], content[8 + length :]
            made += struct.pack(">I", length) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        path = path.with_name("whole.png")
        path.write_bytes(made)
        _images().read(path)

    def _bare(content: bytes) -> list[bytes]:
        parts, content = [], content[8:]
        while content:
            length = struct.unpack(">I", content[:4])[0]
            parts.append(content[: 8 + length])
            content = content[12 + length :]
        return parts

    return Target(seeds, read)


def _records() -> Target:
    from dhr.records.item import ItemRecord, read_item
    from dhr.records.members import to_json
    from dhr.records.run import RunRecord, read_run

    item = ItemRecord("ab" * 32, 8, 6, ("cat",), {"cat": 0.5, "dog": 0.5}, ("dog",), quality=0.5, mask="cd" * 32)
    run = RunRecord(status="finished", classes=("background", "cat", "dog"), background=True)

    def seeds(folder: Path) -> list[tuple[str, bytes]]:
        return [(f"{name}.json", json.dumps(to_json(one)).encode()) for name, one in (("item", item), ("run", run))]

    def read(path: Path) -> None:
        with suppress(OSError, ValueError):  # which its callers name with the folder
            _ = read_item(path) if path.name == "item.json" else read_run(path)

    return Target(seeds, read)


def _students() -> Target:
    from dhr.data.samples import ClassTable
    from dhr.models.config import WssConfig
    from dhr.models.student import StudentConfig
    from dhr.models.student.network import Student
    from dhr.models.wss.classifier import TagClassifier
    from dhr.train.student_file import read_student, write_student

    def seeds(folder: Path) -> list[tuple[str, bytes]]:
        tagger = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), 2)
        student = Student(tagger, StudentConfig(width=16, low_level=8, rates=(1, 2)), 3).eval()
        path = folder / "whole.safetensors"
        write_student(path, student, ClassTable(("background", "cat", "dog"), True), 48)
        content = path.read_bytes()
        end = 8 + struct.unpack("<Q", content[:8])[0]
        (folder / "rest").write_bytes(content[end:])
        return [("header", content[8:end])]

    def read(path: Path) -> None:
        content = path.read_bytes()
        whole = path.with_name("student.safetensors")
        whole.write_bytes(struct.pack("<Q", len(content)) + content + (path.parent / "rest").read_bytes())
        read_student(whole)

    return Target(seeds, read)


def _settings() -> Target:
    from dhr.api.settings import run_settings

    content = b"image:\n  long_side: 64\nmethod:\n  tau: 0.7\nwss: {kind: classifier, scales: [1.0, 2.0]}\nseed: 3\n"
    return Target(lambda folder: [("my.yaml", content)], lambda path: run_settings(path))


def _maps() -> Target:
    """Arrays and dictionaries of other programs, pickled ones among them."""
    from dhr.data.cam_files import read_content
    from dhr.data.samples import ClassTable

    classes = ClassTable(("background", "cat", "dog"), True)

    def seeds(folder: Path) -> list[tuple[str, bytes]]:
        maps = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
        np.save(folder / "array.npy", maps)
        np.save(folder / "pickled.npy", np.array({"keys": np.arange(2), "cam": maps}), allow_pickle=True)
        np.savez_compressed(folder / "packed.npz", cams=maps, classes=np.arange(1, 3))
        return [(name, (folder / name).read_bytes()) for name in ("array.npy", "pickled.npy", "packed.npz")]

    return Target(seeds, lambda path: read_content(path, classes))


def _pickles() -> Target:
    from dhr.data.plain_pickle import Refused, read_plain_pickle

    value = {"keys": np.arange(3), "cam": np.ones((2, 2), np.float16), "name": ["a", 1, 2.5, None, (True, b"x")]}

    def read(path: Path) -> None:
        with suppress(Refused):
            read_plain_pickle(path.read_bytes())

    return Target(lambda folder: [(f"{protocol}", pickle.dumps(value, protocol)) for protocol in (2, 4)], read)


TARGETS: dict[str, Callable[[], Target]] = {
    "tags": _tags,
    **{kind: (lambda kind=kind: _annotations(kind)) for kind in _ANNOTATIONS},  # type: ignore[misc]
    "images": _images,
    "png chunks": _png_chunks,
    "records": _records,
    "students": _students,
    "settings": _settings,
    "maps": _maps,
    "pickles": _pickles,
}


@dataclass
class Bench:
    """A target in a folder of its own; the first byte of an input says which of its files the rest is."""

    name: str
    folder: Path

    def __post_init__(self) -> None:
        self.target = TARGETS[self.name]()
        self.files = self.target.seeds(self.folder)

    def inputs(self) -> list[bytes]:
        """The good files, as inputs."""
        return [bytes([number]) + content for number, (_, content) in enumerate(self.files)]

    def read(self, content: bytes) -> str:
        """Read an input: ``read``, or the name of the error of dhr; anything else is raised."""
        if not content:
            return "empty"
        name, good = self.files[content[0] % len(self.files)]
        path = self.folder / name
        path.write_bytes(content[1:])
        try:
            self.target.read(path)
        except DhrError as error:
            _one_line(error)
            return type(error).__name__
        finally:
            path.write_bytes(good)
        return "read"


def _one_line(error: DhrError) -> None:
    text = str(error)
    assert len(text.splitlines()) == 1 and printable(text) == text, f"not one line: {text!r}"
