"""What goes wrong, goes on, and stays the same."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import SceneDataSet, write_mask
from dhr.errors import ConfigError, DataError, OutputError
from dhr.export import FORMATS, export
from dhr.export.ledger import LEDGER
from dhr.files import TEMPORARY_SUFFIX

NEEDS = {
    **{"coco": "pycocotools", "yolo": "cv2", "labelstudio": "label_studio_sdk", "datumaro": "datumaro"},
    "geojson": "shapely",
}
ANY = [name for name in FORMATS if not name.endswith("-server")]


def place(to: str) -> str:
    """The option that names where an export of this format goes."""
    return "--file" if to in FORMATS and FORMATS[to].one_file else "--out"


@pytest.fixture
def small(plain: Callable[..., Any]) -> Any:
    names = ("background", *(f"class {number}" for number in range(1, 21)))
    random = np.random.default_rng(0)
    return plain({name: random.integers(0, 4, (9, 7), np.uint8) for name in "abcd"}, names)


def files(folder: Path) -> dict[str, bytes]:
    if folder.is_file():
        return {"": folder.read_bytes()}
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def needed(to: str) -> None:
    if to in NEEDS:
        pytest.importorskip(NEEDS[to])


@pytest.mark.parametrize("to", [name for name in FORMATS if name != "ade-server"])
def test_broken_masks_are_left_out_and_named(to: str, small: Any, tmp_path: Path, dhr: Any) -> None:
    needed(to)
    (small.folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (small.folder / "b.png").unlink()
    write_mask(small.folder / "c.png", np.full((9, 7), 21, np.uint8))
    out = tmp_path / "out"
    call = ["export", "--data", small.root, "--masks", small.folder, "--to", to, place(to), out]
    ended = dhr(call)
    assert ended.code == 1, ended.err
    assert "Left out: 3" in ended.out and "1 mask as" in ended.out
    for name, reason in (("a", "damaged"), ("b", "No such file"), ("c", "got 21")):
        assert any(line.strip().startswith(f"{name}: ") and reason in line for line in ended.out.splitlines())
    assert files(out)
    write_mask(small.folder / "d.png", small.labels["d"][1:])
    ended = dhr([*call[:-1], tmp_path / "nothing"])
    assert ended.code == 2 and ended.err.count("\n") == 1 and "none of the 4 masks" in ended.err
    assert not (tmp_path / "nothing").exists() or set(files(tmp_path / "nothing")) <= {LEDGER, "classes.txt"}


@pytest.mark.parametrize("to", [name for name in FORMATS if name != "ade-server"])
def test_the_same_masks_give_the_same_bytes(to: str, small: Any, tmp_path: Path) -> None:
    needed(to)
    first, second = (small.export(to, tmp_path / name) for name in ("one", "two"))
    assert first.masks == second.masks == 4
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert not list(tmp_path.rglob(f"*{TEMPORARY_SUFFIX}"))


@pytest.mark.parametrize("to", ["png", "yolo", "fiftyone", "labels", "geojson"])
def test_it_goes_on_where_it_stopped(to: str, small: Any, tmp_path: Path) -> None:
    needed(to)
    small.export(to, tmp_path / "whole")
    out = tmp_path / "out"
    small.export(to, out)
    ledger = out / LEDGER
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # killed in the third photograph
    assert small.export(to, out).kept == 2
    assert files(out) == files(tmp_path / "whole")
    write_mask(small.folder / "b.png", np.zeros((9, 7), np.uint8))  # another mask: made again
    assert small.export(to, out).kept == 3
    (small.folder / "c.png").unlink()  # gone: its files go too
    done = small.export(to, out)
    assert done.kept == 3 and [problem.source for problem in done.problems] == ["c"]
    assert not [name for name in files(out) if Path(name).stem == "c"]


def test_a_folder_of_something_else_is_refused(small: Any, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    for to in ("png", "yolo", "labelstudio", "cvat", "datumaro", "fiftyone", "labels", "geojson"):
        needed(to)
        with pytest.raises(OutputError, match="mine"):
            small.export(to, tmp_path / "mine")
    assert files(tmp_path / "mine") == {"diary.txt": b"dear"}
    small.export("png", tmp_path / "png")
    with pytest.raises(OutputError, match="another export"):
        small.export("yolo", tmp_path / "png")


@pytest.mark.parametrize("to", ["coco", "lightly", "voc-server"])
def test_a_file_of_something_else_is_refused(to: str, small: Any, tmp_path: Path) -> None:
    needed(to)
    before = (small.root / "tags.csv").read_bytes()
    with pytest.raises(OutputError, match="not an export of this kind"):
        small.export(to, small.root / "tags.csv")
    assert (small.root / "tags.csv").read_bytes() == before
    with pytest.raises(OutputError, match="is a folder"):
        small.export(to, tmp_path)
    for _ in range(2):  # an earlier export is replaced
        assert small.export(to, tmp_path / "out").masks == 4


def test_a_ledger_cannot_delete_elsewhere(small: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small.export("png", out)
    (tmp_path / "precious").write_text("1")
    with (out / LEDGER).open("a") as file:
        file.write(json.dumps({"split": "", "name": "x", "digest": "1", "files": ["../precious"]}) + "\n")
    with pytest.raises(OutputError, match="line 6 is damaged"):
        small.export("png", out)
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize("to", sorted(NEEDS))
def test_a_missing_library_is_one_line(
    to: str, small: Any, tmp_path: Path, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*NEEDS.values(), "pycocotools.mask", "label_studio_sdk.converter.brush"]:
        monkeypatch.setitem(sys.modules, name, None)
    ended = dhr(["export", "--data", small.root, "--masks", small.folder, "--to", to, place(to), tmp_path / "out"])
    assert ended.code == 2 and ended.err.count("\n") == 1 and "pip install 'dhr[formats]'" in ended.err
    assert not (tmp_path / "out").exists()


def test_calls_that_cannot_work_are_one_line(small: Any, tmp_path: Path, dhr: Any) -> None:
    base = ["export", "--data", small.root, "--masks", small.folder, "--to"]
    for more, word in (
        (["tiff"], "png, coco"),
        (["ade-server"], "150 classes"),
        (["datumaro", "--datumaro-format", "imagenet"], "that holds masks"),
        (["datumaro", "--images", "link"], "copy"),
        (["png", "--masks", tmp_path / "nowhere"], "nowhere"),
        (["png", "--out", small.folder / "out"], "outside"),
        (["png", "--out", small.root / "images" / "out"], "outside"),
        (["png", "--split", "none"], "'none'"),
        (["coco", "--file", small.root / "tags.csv" / "x"], "cannot write"),
    ):
        if more[0] in NEEDS:
            needed(more[0])
        to = more[0]
        out = [] if "--out" in more or "--file" in more else [place(to), tmp_path / "out"]
        ended = dhr([*base, *more, *out])
        assert ended.code == 2 and ended.err.count("\n") == 1 and word in ended.err, (more, ended)


def test_servers_refuse_other_classes(masks: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="20 classes"):
        masks.export("voc-server", tmp_path / "a.tgz")


def test_servers_refuse_sub_folders(plain: Callable[..., Any], tmp_path: Path) -> None:
    names = ("background", *(f"class {number}" for number in range(1, 21)))
    given = plain({"a": np.zeros((2, 2), np.uint8), "trip/b": np.zeros((2, 2), np.uint8)}, names)
    done = given.export("voc-server", tmp_path / "a.tgz")
    assert done.masks == 1 and [problem.source for problem in done.problems] == ["trip/b"]
    (given.folder / "a.png").unlink()
    with pytest.raises(DataError, match="none of the 2"):
        given.export("voc-server", tmp_path / "b.tgz")
    assert not (tmp_path / "b.tgz").exists()


def test_names_that_xml_cannot_hold(plain: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("label_studio_sdk")
    given = plain({"a": np.zeros((2, 2), np.uint8)}, ("background", "cat\ufffe"))
    for to in ("cvat", "labelstudio"):
        with pytest.raises(ConfigError, match="XML cannot hold"):
            given.export(to, tmp_path / to)


def test_sizes_are_of_the_upright_photograph(small: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: stored as 9 wide and 7 high
    Image.new("RGB", (9, 7)).save(small.root / "images" / "a.jpg", exif=exif)
    assert small.export("png", tmp_path / "out").masks == 4


def test_photographs_are_copied_if_asked(small: Any, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    small.export("yolo", tmp_path / "out", images="copy")
    copied = tmp_path / "out" / "images" / "train" / "a.jpg"
    assert not copied.is_symlink() and copied.read_bytes() == (small.root / "images" / "a.jpg").read_bytes()
    small.export("yolo", tmp_path / "labels", images="none")
    assert not (tmp_path / "labels" / "images").exists() and (tmp_path / "labels" / "labels" / "train").is_dir()


def test_photographs_that_are_no_files(tmp_path: Path) -> None:
    scenes = SceneDataSet(2, seed=0, size=(32, 48))
    for sample in scenes.samples:
        write_mask(tmp_path / "masks" / f"{sample.name}.png", scenes.read_ground_truth(sample))
    done = export(scenes, tmp_path / "masks", "cvat", tmp_path / "out")
    assert done.masks == 2 and 'width="48" height="32"' in (tmp_path / "out" / "annotations.xml").read_text()
    pytest.importorskip("cv2")
    with pytest.raises(DataError, match="not a file, so it cannot be linked"):
        export(scenes, tmp_path / "masks", "yolo", tmp_path / "yolo")
