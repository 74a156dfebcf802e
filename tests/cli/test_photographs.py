"""Photographs of every kind, good, odd and bad, in one run."""

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CLASSES = ("cat", "dog", "tree")


def picture(width: int = 40, height: int = 36, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: 40x36 as stored, 36x40 as seen
    return saved(picture(), "JPEG", exif=exif)


def write(root: Path, photographs: dict[str, bytes], tags: dict[str, str]) -> Path:
    (root / "images").mkdir(parents=True)
    for name, content in photographs.items():
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "classes.txt").write_text("\n".join(CLASSES))
    (root / "tags.csv").write_text("image,tags\n" + "".join(f"{name},{text}\n" for name, text in tags.items()))
    return root


ODD = {
    "plain.png": (saved(picture(), "PNG"), (36, 40)),
    "plain.jpg.jpg": (saved(picture(), "JPEG"), (36, 40)),
    "sixteen.png": (
        saved(Image.fromarray((np.arange(36 * 40).reshape(36, 40) * 40).astype(np.uint16)), "PNG"),
        (36, 40),
    ),
    "cmyk.jpg": (saved(picture(mode="CMYK"), "JPEG"), (36, 40)),
    "palette.gif": (saved(picture(mode="P"), "GIF"), (36, 40)),
    "grey.png": (saved(picture(mode="L"), "PNG"), (36, 40)),
    "alpha.png": (saved(picture(mode="RGBA"), "PNG"), (36, 40)),
    "alpha.webp.webp": (saved(picture(mode="RGBA"), "WEBP"), (36, 40)),
    "upright.jpg": (rotated(), (40, 36)),
    "one.png": (saved(picture(1, 1), "PNG"), (1, 1)),
    "wide.bmp": (saved(picture(700, 3), "BMP"), (3, 700)),
    "tall.tif": (saved(picture(3, 700), "TIFF"), (700, 3)),
    "trip/with, comma & ümlaut.png": (saved(picture(), "PNG"), (36, 40)),
}
"""File, and the height and width of its mask."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


JPEG = saved(picture(), "JPEG")
BAD = {
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "text.jpg": b"this is no photograph",
    "empty.png": b"",
    "header.png": b"\x89PNG\r\n\x1a\n",
    "bomb.png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\1\0\0\0\1\0\0\x08\x02\0\0\0") + chunk(b"IDAT", b""),
}
"""Read, and refused."""

UNUSABLE = {"unknown.png": "lion", "untagged.png": None, "blank.png": "", "twice.png": "cat", "twice.jpg": "dog"}
"""Left out for their tags or their names."""


def test_odd_photographs_get_masks_and_bad_ones_are_named(dhr: Any, new_case: Any, labels: Any, tmp_path: Path) -> None:
    good = {name: content for name, (content, _) in ODD.items()}
    unusable = {name: saved(picture(), "PNG") for name in UNUSABLE}
    tags = {f'"{name}"': "cat;dog" for name in ODD} | dict.fromkeys(BAD, "tree")
    tags |= {name: text for name, text in UNUSABLE.items() if text is not None} | {"ghost.png": "cat"}
    case = new_case(write(tmp_path / "data", {**good, **BAD, **unusable}, tags), tmp_path / "out")

    ended = dhr(case.run("--classifier.epochs", "1"))

    assert ended.code == 1, ended.err
    for name, (_, shape) in ODD.items():
        mask = labels(case.out / "masks" / f"{name.rpartition('.')[0]}.png")
        assert mask.shape == shape, name
        assert set(np.unique(mask)) <= {0, 1}, name
    assert len(list((case.out / "masks").rglob("*.png"))) == len(ODD)

    record = case.record()
    left_out = {Path(problem["source"]).name: problem["reason"] for problem in record["skipped"]}
    assert left_out.keys() == {*BAD, *UNUSABLE, "ghost.png"}
    assert all(reason and "\n" not in reason for reason in left_out.values())
    for name, word in (
        ("text.jpg", "expected PNG, JPEG"),
        ("empty.png", "empty file"),
        ("bomb.png", "megapixels"),
        ("unknown.png", "'lion'"),
        ("untagged.png", "no line in tags.csv"),
        ("blank.png", "no tags"),
        ("twice.png", "twice.jpg"),
        ("ghost.png", "no image"),
    ):
        assert word in left_out[name]
    assert record["counts"]["masks"] == len(ODD)
    assert record["counts"]["skipped"] == len(left_out)
    assert f"Left out: {len(left_out)}" in ended.out
    shown = [name for name in left_out if name in ended.out]
    assert len(shown) >= 10 or len(shown) == len(left_out)
    assert len(shown) == len(left_out) or "run.json" in ended.out  # where the rest is


def test_no_usable_photograph_is_one_line(dhr: Any, new_case: Any, tmp_path: Path) -> None:
    case = new_case(write(tmp_path / "data", BAD, dict.fromkeys(BAD, "cat")), tmp_path / "out")
    ended = dhr(case.run())
    assert ended.code == 2
    assert ended.err.count("\n") == 1 and "can be read" in ended.err


def test_one_photograph_with_one_tag_is_enough(dhr: Any, new_case: Any, labels: Any, tmp_path: Path) -> None:
    case = new_case(write(tmp_path / "data", {"a.png": saved(picture(), "PNG")}, {"a.png": "dog"}), tmp_path / "out")
    assert dhr(case.run()).code == 0
    assert (labels(case.out / "masks" / "a.png") == 1).all()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # of the test's own reading
def test_a_photograph_of_100_megapixels(forks: Any, new_case: Any, labels: Any, tmp_path: Path) -> None:
    row = np.repeat(np.array([[200, 40, 40], [40, 40, 200]], np.uint8), 5000, axis=0)[None]  # (1, 10000, 3)
    large = Image.fromarray(np.broadcast_to(row, (10_000, 10_000, 3)).copy())
    content = saved(large, "PNG", compress_level=1)
    small = new_case(write(tmp_path / "a", {"a.png": saved(picture(), "PNG")}, {"a.png": "cat;dog"}), tmp_path / "b")
    case = new_case(write(tmp_path / "data", {"a.png": content}, {"a.png": "cat;dog"}), tmp_path / "out")
    options = (
        "--classifier.epochs",
        "1",
        "--no-stages",
        "--image.long-side",
        "320",
        "--boundary.crf.iterations",
        "2",
    )
    usual, ended = forks(small.run(*options)), forks(case.run(*options))
    assert (usual.code, ended.code) == (0, 0), ended.err
    print(f"peak memory {ended.peak_mb:.0f} MB, of a small photograph {usual.peak_mb:.0f}")
    mask = labels(case.out / "masks" / "a.png")
    assert mask.shape == (10_000, 10_000)
    assert set(np.unique(mask)) <= {0, 1}
    # The photograph takes 300 MB, decoded by Pillow 300 or 400 more, a mask 100; floats of its size would be 1200.
    assert ended.peak_mb - usual.peak_mb < 1500, (usual.peak_mb, ended.peak_mb)


@pytest.mark.parametrize("missing", ["images", "tags.csv", "classes.txt", ""])
def test_a_folder_without_its_parts_is_one_line(missing: str, fresh: Any, dhr: Any) -> None:
    path = fresh.data / missing
    path.rename(fresh.data.parent / "elsewhere")
    ended = dhr(fresh.run())
    assert ended.code == 2
    assert ended.err.count("\n") == 1 and (missing or str(fresh.data)) in ended.err
    assert not fresh.out.exists()


def test_an_empty_folder_of_photographs_is_one_line(dhr: Any, new_case: Any, tmp_path: Path) -> None:
    ended = dhr(new_case(write(tmp_path / "data", {}, {}), tmp_path / "out").run())
    assert ended.code == 2
    assert ended.err.count("\n") == 1 and "no usable photograph" in ended.err


def test_a_split_is_all_that_is_read(fresh: Any, dhr: Any) -> None:
    (fresh.data / "splits").mkdir()
    (fresh.data / "splits" / "few.txt").write_text("scene-000001\nscene-000002.png\n")
    (fresh.data / "images" / "scene-000000.png").write_bytes(b"not of the split")
    assert dhr(fresh.run("--split", "few")).code == 0
    assert sorted(path.stem for path in (fresh.out / "masks").rglob("*.png")) == ["scene-000001", "scene-000002"]
    ended = dhr(fresh.run("--split", "many"))
    assert ended.code == 2 and ended.err.count("\n") == 1 and "'many'" in ended.err and "'few'" in ended.err
