"""Files changed at random: an error of ours, or a data set; never anything else, never for long.

Mutations come from a seeded generator, so that a failure names the number that repeats it.
"""

import faulthandler
import json
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.data import DataSet, open_data, read_mask, read_rgb, read_size
from dhr.data.classes import read_classes
from dhr.data.tags import read_tags
from dhr.errors import DhrError, ItemError

Lay = Callable[[str], Path]

LONGEST = 1_800  # seconds after which a test of this file is stopped, with a traceback: only a hang takes as long


@pytest.fixture(autouse=True)
def nothing_hangs() -> Iterator[None]:
    """Where a file makes a reader hang, Python may not get round to anything: the process is ended."""
    faulthandler.dump_traceback_later(LONGEST, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


PIECES = [
    b"\n", b"\r", b'"', b",", b";", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"[", b"]", b"{", b"}", b":", b"\\", b"../",
    b"/etc/passwd", b"<", b">", b"&", b"<!DOCTYPE a>", b"&x;", b"null", b"NaN", b"1e999", b"-1", b"9" * 30, b"\\ud800",
    b"image", b"tags", b"cat", "é".encode(), "\u2028".encode(), "\u202e".encode(), b"=cmd|", b"true", b"a.png",
]  # fmt: skip


def mutated(content: bytes, generator: random.Random) -> bytes:
    """The content with one to six changes: bytes replaced, cut, doubled, moved, or pieces of syntax put in."""
    made = bytearray(content)
    for _ in range(generator.randint(1, 6)):
        at = generator.randrange(len(made) + 1)
        length = min(int(generator.expovariate(0.1)), len(made) - at)
        match generator.randrange(6):
            case 0 if at < len(made):
                made[at] = generator.randrange(256)
            case 1:
                del made[at : at + length]
            case 2:
                made[at:at] = made[at : at + length]
            case 3:
                made[at:at] = generator.choice(PIECES)
            case 4:
                del made[at:]
            case _:
                part = made[at : at + length]
                del made[at : at + length]
                to = generator.randrange(len(made) + 1)
                made[to:to] = part
    return bytes(made)


def check_line(message: str, where: str) -> None:
    assert len(message.splitlines()) == 1 and message.isprintable() | ("\t" in message), (where, message)


TAG_FILES = {
    "tags.csv": b'image,tags\na.png,cat;dog\n"b c.png",owl\nc,"cat; say ""x"""\nd.png,dog\n',
    "semicolons.csv": b'\xef\xbb\xbfimage;tags\r\na.png;"cat;dog"\r\nb c.png;owl\r\n',
    "tags.jsonl": b'{"image": "a.png", "tags": ["cat", "dog"]}\n{"image": "b c.png", "tags": ["say \\"x\\""]}\n',
}


def fuzz_tag_files(folder: Path, count: int, seed: int) -> tuple[int, int, int]:
    """Files read, refused, and lines of them refused."""
    (folder / "classes.txt").write_text('background\ncat\ndog\nowl\nsay "x"\n')
    classes = read_classes(folder / "classes.txt")
    generator = random.Random(seed)
    read = refused = lines = 0
    for number in range(count):
        name, content = generator.choice(list(TAG_FILES.items()))
        path = folder / name
        changed = mutated(content, generator)
        path.write_bytes(changed)
        try:
            found = read_tags(path, classes)
        except DhrError as error:
            check_line(str(error), f"{seed}/{number}")
            assert str(error).startswith(str(path)) and re.search(r"line \d+|byte \d+", str(error)), (
                number,
                str(error),
            )
            refused += 1
        else:
            read += 1
            last = changed.count(b"\n") + changed.count(b"\r") + 1
            for line in found:  # each is whole, or says in which line of which file it is wrong
                assert 1 <= line.line <= last, (number, line)
                assert not (line.reason and line.tags), (number, line)
                assert all(0 < tag < len(classes.names) for tag in line.tags), (number, line)
                if line.reason is not None:
                    lines += 1
                    check_line(line.reason, f"{seed}/{number}")
    return read, refused, lines


@pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_tag_files_changed_at_random(tmp_path: Path, count: int) -> None:
    read, refused, lines = fuzz_tag_files(tmp_path, count, seed=count)
    assert read + refused == count and min(read, refused, lines) > count / 20


def outcome(data: DataSet) -> None:
    """What must hold of any data set, however it came to be."""
    names = [sample.name for sample in data.samples]
    assert names == sorted(set(names))
    for sample in data.samples:
        assert (sample.tags or data.classes.background) and set(sample.tags) <= set(data.classes.foreground)
        assert not sample.name.startswith("/") and ".." not in sample.name.split("/")
    for problem in data.problems:
        check_line(problem.reason, "reason")
        check_line(problem.source, "source")


FILES = {
    "folder": ("tags.jsonl", "classes.txt"),
    "cvat": ("annotations.xml",),
    "label-studio": ("export.json",),
    "coco": ("annotations/instances_train2017.json",),
    "yolo": ("data.yaml", "labels/train/a.txt", "labels/train/trip/b.txt"),
    "datumaro": ("annotations/default.json",),
    "voc": (
        "VOCdevkit/VOC2012/Annotations/2007_000032.xml", "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt",
        "VOCdevkit/VOC2012/cls_labels.json",
    ),
    "release": ("train_aug/xml/2007_000032.xml", "VOC2012.json"),
    "context": ("VOC2010/ImageSets/SegmentationContext/train.txt", "VOC2010/59_labels.txt"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_annotations_of_every_layout_changed_at_random(lay: Lay, kind: str) -> None:
    root = lay(kind)
    if kind == "release":
        (root / "VOC2012.json").write_text(
            json.dumps({"names": ["background", "aeroplane", "person", "cat"], "ignore": 255})
        )
    if kind == "voc":
        labels = {"2007_000032": [0, 14], "2007_000039": [19]}
        (root / FILES[kind][2]).write_text(json.dumps({"labels": labels}))
    if kind == "context":
        from dhr.data.benchmarks import benchmark

        names = benchmark("context").classes.names
        (root / FILES[kind][1]).write_text("".join(f"{index}: {name}\n" for index, name in enumerate(names, start=1)))
    originals = {root / name: (root / name).read_bytes() for name in FILES[kind]}
    generator = random.Random(1)
    opened = 0
    for number in range(150):
        path, content = generator.choice(list(originals.items()))
        path.write_bytes(mutated(content, generator))
        try:
            split = "train" if path.name == "train.txt" else None
            data = open_data(root, split=split, format=kind)
        except DhrError as error:
            check_line(str(error), f"{kind}/{number}")
        else:
            opened += 1
            outcome(data)
            for sample in data.samples if kind in ("coco", "yolo", "datumaro") else []:
                try:
                    assert data.read_ground_truth(sample).shape == (6, 8)
                except ItemError as error:
                    check_line(str(error), f"{kind}/{number}")
        path.write_bytes(content)
    assert 0 < opened < 150
    outcome(open_data(root, format=kind))


def test_hugging_face_files_changed_at_random(lay: Lay, tmp_path: Path) -> None:
    root = lay("huggingface")
    files = [path for path in root.rglob("*") if path.is_file()]
    generator = random.Random(2)
    for number in range(60):
        copy = tmp_path / "copy"
        shutil.copytree(root, copy)
        path = copy / generator.choice(files).relative_to(root)
        path.write_bytes(mutated(path.read_bytes(), generator))
        try:
            data = open_data(copy, format="huggingface")
            outcome(data)
            for sample in data.samples:
                data.read_image(sample)
        except DhrError as error:
            check_line(str(error), f"{number}")
        shutil.rmtree(copy)


def images(folder: Path) -> list[Path]:
    """A small photograph in each format that is read."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    rgb = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    made = []
    for name, image, options in (
        ("a.jpg", rgb, {"exif": exif, "quality": 80}), ("b.jpg", rgb, {"progressive": True}), ("c.png", rgb, {}),
        ("d.png", rgb.quantize(8), {}), ("e.png", rgb.convert("LA"), {}),
        ("f.gif", rgb, {}), ("g.bmp", rgb, {}), ("h.tif", rgb, {"compression": "tiff_lzw"}), ("i.tif", rgb, {}),
        ("j.webp", rgb, {"lossless": True}), ("k.webp", rgb, {"quality": 50}),
    ):  # fmt: skip
        image.save(folder / name, **options)
        made.append(folder / name)
    return made


def fuzz_images(folder: Path, count: int, seed: int) -> tuple[int, int]:
    """Images read, and refused."""
    originals = {path: path.read_bytes() for path in images(folder)}
    generator = random.Random(seed)
    read = refused = 0
    for number in range(count):
        path, content = generator.choice(list(originals.items()))
        path.write_bytes(mutated(content, generator))
        try:
            shape = read_size(path, 1_000_000)
            pixels = read_rgb(path, 1_000_000)
        except ItemError as error:
            assert len(str(error).splitlines()) == 1 and str(path) in str(error), (seed, number)
            refused += 1
        else:  # all of it, in the size that the header says
            assert pixels.dtype == np.uint8 and pixels.shape == (*shape, 3), (seed, number)
            read += 1
        if path.suffix == ".png":
            try:
                assert read_mask(path).ndim == 2
            except ItemError as error:
                assert len(str(error).splitlines()) == 1, (seed, number)
        path.write_bytes(content)
    return read, refused


@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged metadata
def test_images_changed_at_random(tmp_path: Path) -> None:
    read, refused = fuzz_images(tmp_path, 1_000, seed=0)
    assert read + refused == 1_000 and min(read, refused) > 100


@pytest.mark.filterwarnings("ignore")
def test_an_image_that_was_cut_off_is_never_taken_for_whole(tmp_path: Path) -> None:
    generator = random.Random(3)
    for path in images(tmp_path):
        content = path.read_bytes()
        for _ in range(12):
            end = generator.randrange(len(content) // 2)  # a cut in the last bytes may lose nothing that is seen
            path.write_bytes(content[:end])
            with pytest.raises(ItemError):
                read_rgb(path)


def test_each_rejected_line_is_named_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b c.png", "c.png", "d.png"):
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / "images" / name)
    (tmp_path / "classes.txt").write_text('background\ncat\ndog\nowl\nsay "x"\n')
    classes = read_classes(tmp_path / "classes.txt")
    generator = random.Random(5)
    rejected = 0
    for number in range(600):
        path = tmp_path / generator.choice(["tags.csv", "tags.jsonl"])
        path.write_bytes(mutated(TAG_FILES[path.name], generator))
        try:
            lines = read_tags(path, classes)
            data = open_data(tmp_path)
        except DhrError as error:
            check_line(str(error), f"{number}")
        else:
            said = [problem.reason for problem in data.problems]
            for line in lines:
                if line.reason is not None:
                    rejected += 1
                    assert any(f"{path} line {line.line}:" in reason for reason in said), (number, line, said)
        path.unlink()
    assert rejected > 100
