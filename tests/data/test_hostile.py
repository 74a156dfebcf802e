"""Data sets that were made to do harm, or by programs that went wrong."""

import io
import json
import pickle
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from dhr.data import DataSet, open_data
from dhr.errors import ConfigError, DataError, DhrError, ItemError

Lay = Callable[[str], Path]


def reasons(data: DataSet) -> str:
    for problem in data.problems:
        assert len(problem.reason.splitlines()) == 1 and len(problem.source.splitlines()) == 1
    return " | ".join(f"{problem.source}: {problem.reason}" for problem in data.problems)


def refused(root: Path, kind: str = "auto", split: str | None = None) -> str:
    with pytest.raises((DataError, ConfigError)) as error:
        open_data(root, split=split, format=kind)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def secret(tmp_path: Path, formats: ModuleType) -> Path:
    """A photograph outside the data set."""
    formats.photograph(tmp_path / "secret.jpg")
    return tmp_path / "secret.jpg"


LEAVING = [
    "../secret.jpg",
    "../../secret.jpg",
    "{secret}",
    "x/../../secret.jpg",
    "..\\..\\secret.jpg",
    "C:\\secret.jpg",
]


@pytest.mark.parametrize("path", LEAVING)
@pytest.mark.parametrize("kind", ["folder", "coco", "label-studio", "cvat"])
def test_no_annotation_leads_out_of_the_data_set(
    lay: Lay, formats: ModuleType, tmp_path: Path, kind: str, path: str
) -> None:
    root, path = lay(kind), path.format(secret=secret(tmp_path, formats))
    if kind == "folder":
        with (root / "tags.jsonl").open("a") as file:
            file.write(json.dumps({"image": path, "tags": ["cat"]}) + "\n")
    elif kind == "coco":
        content = formats.coco_json()
        content["images"][0]["file_name"] = path
        (root / "annotations/instances_train2017.json").write_text(json.dumps(content))
    elif kind == "label-studio":
        tasks = json.loads((root / "export.json").read_text())
        tasks[0]["data"]["image"] = path
        (root / "export.json").write_text(json.dumps(tasks))
    else:
        xml = root / "annotations.xml"
        xml.write_text(xml.read_text().replace('name="a.jpg"', f'name="{path}"'))
    data = open_data(root)
    assert all("secret" not in sample.source for sample in data.samples)
    assert "may lead out of it" in reasons(data) or "no image" in reasons(data)


@pytest.mark.parametrize("kind", ["coco", "label-studio", "cvat", "class-folders", "voc", "release", "ade"])
def test_links_to_folders_are_not_followed(lay: Lay, formats: ModuleType, tmp_path: Path, kind: str) -> None:
    root = lay(kind)
    formats.photograph(tmp_path / "elsewhere" / "secret.jpg")
    images = {
        "coco": root / "train2017", "label-studio": root / "images", "cvat": root / "images",
        "class-folders": root / "cat", "voc": root / "VOCdevkit/VOC2012/JPEGImages",
        "release": root / "train_aug/image", "ade": root / "ADEChallengeData2016/images/training",
    }[kind]  # fmt: skip
    (images / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    data = open_data(root)
    assert all("secret" not in sample.source for sample in data.samples)
    assert kind == "coco" or "a link to a folder is not followed" in reasons(data)  # COCO says what there should be


def test_a_list_of_photographs_is_of_names_never_of_paths(lay: Lay, formats: ModuleType, tmp_path: Path) -> None:
    root = lay("voc")
    formats.photograph(tmp_path / "secret.jpg")
    (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text("2007_000032\n../../../../secret.jpg\n")
    data = open_data(root, split="train")
    assert [sample.name for sample in data.samples] == ["2007_000032"]
    assert "train.txt line 2: no image '../../../../secret.jpg' in JPEGImages/" in reasons(data)
    for split in ("../Segmentation/train", "../../../../secret"):
        assert "no split" in refused(root, "voc", split)


@pytest.mark.parametrize("path", ["{secret}", "../secret.jpg", "link/secret.jpg", "C:/secret.jpg", "gone.jpg", None])
def test_a_path_in_a_hugging_face_data_set_stays_inside(formats: ModuleType, tmp_path: Path, path: str | None) -> None:
    from dhr.data.hub import _Cell

    outside, root = secret(tmp_path, formats), tmp_path / "set"
    formats.photograph(root / "inside.jpg")
    (root / "link").symlink_to(tmp_path, target_is_directory=True)
    rows = [{"image": {"bytes": None, "path": path and path.format(secret=outside)}}, {"image": {"path": "inside.jpg"}}]
    with pytest.raises(ItemError, match=r"leads out of the data set|there is no image|cannot be read"):
        _Cell(rows, 0, "image", "row 0", root).load()
    assert _Cell(rows, 1, "image", "row 1", root).load().data == (root / "inside.jpg").read_bytes()


BOMB = '<?xml version="1.0"?>\n<!DOCTYPE a [\n<!ENTITY b "{}">\n<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">\n]>\n'


@pytest.mark.parametrize("content", ["lol", "file"])
def test_xml_has_no_entities_of_its_own(lay: Lay, tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text("dog")
    bomb = BOMB.format("lol" * 1000)
    if content == "file":
        bomb = f'<!DOCTYPE a [\n<!ENTITY c SYSTEM "file://{tmp_path}/secret">\n]>\n'
    root = lay("cvat")
    body = '<annotations><image name="a.jpg"><tag label="&c;"/></image></annotations>'
    (root / "annotations.xml").write_text(bomb + body)
    message = refused(root)
    assert "annotations.xml line" in message and "document types and entities are refused" in message


def test_a_voc_annotation_with_entities_costs_one_photograph(tmp_path: Path, lay: Lay) -> None:
    root = lay("voc")
    path = root / "VOCdevkit/VOC2012/Annotations/2007_000039.xml"
    path.write_text(BOMB.format("x" * 10_000) + "<annotation><object><name>&c;</name></object></annotation>")
    data = open_data(root)
    assert len(data.samples) == 2 and "2007_000039.xml line 2: document types" in reasons(data)


@pytest.mark.parametrize(
    "text", ["<a>" * 100_000, "<a", "", "<a/><a/>", "<a>&b;</a>", "\0", '<?xml version="1.0" encoding="nonsense"?><a/>']
)
def test_damaged_xml_is_one_line(lay: Lay, text: str) -> None:
    root = lay("cvat")
    (root / "annotations.xml").write_text(text)
    assert "annotations.xml line" in refused(root, "cvat")


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, '[{"id": 1, "id": 2}]', "[NaN]", "[1 2]", "[1", "[]x"]
)
def test_damaged_json_is_one_line(lay: Lay, text: str) -> None:
    root = lay("coco")
    (root / "annotations/instances_train2017.json").write_text(text)
    assert "instances_train2017.json" in refused(root)
    (root / "cls.json").write_text(text)
    root = lay("label-studio")
    (root / "export.json").write_text(text)
    assert "json" in refused(root, "label-studio")


class Shout:
    """Does what a pickle of harm would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("harm", [True, False])
def test_pickled_labels_are_refused_with_the_way_to_convert_them(lay: Lay, tmp_path: Path, harm: bool) -> None:
    root, trace = lay("voc"), tmp_path / "ran"
    labels = {2007000032: np.eye(20)[0] + np.eye(20)[14], "2008_000001": np.eye(20)[7]}
    target = root / "VOCdevkit/VOC2012/cls_labels.npy"
    if harm:
        target.write_bytes(b"\x93NUMPY\x01\x00" + pickle.dumps(Shout(trace)))
    else:
        np.save(target, np.array(labels, dtype=object), allow_pickle=True)
    message = refused(root)
    assert not trace.exists() and "hold pickles, which can run any program" in message and "json.dump" in message


def test_the_way_to_convert_pickled_labels_works(lay: Lay) -> None:
    root = lay("voc")
    top = root / "VOCdevkit/VOC2012"
    labels = {2007000032: np.eye(20)[0] + np.eye(20)[14], 2007000039: np.eye(20)[19], "2008_000001": np.eye(20)[7]}
    np.save(top / "cls_labels.npy", np.array(labels, dtype=object), allow_pickle=True)
    command = refused(root).split('python -c "')[1].rsplit('"', 1)[0]
    subprocess.run([sys.executable, "-c", command], cwd=top, check=True)
    data = open_data(root)
    assert [sample.tags for sample in data.samples] == [(1, 15), (20,), (8,)] and not data.problems


def png_bomb(side: int) -> bytes:
    """A PNG that claims, and holds, ``side`` x ``side`` pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["folder", "voc", "ade", "class-folders"])
def test_decompression_bombs_are_refused_by_their_size(lay: Lay, kind: str) -> None:
    root = lay(kind)
    photographs = [path for path in root.rglob("*.*g") if path.suffix in (".jpg", ".png") and "ask" not in str(path)]
    bombed = [path for path in photographs if not {"truth", "annotations", "SegmentationClass"} & set(path.parts)]
    for path in bombed:
        path.write_bytes(png_bomb(40_000))
    data = open_data(root)
    assert data.samples
    for sample in data.samples:
        with pytest.raises(ItemError):
            data.read_image(sample)
        if sample.has_ground_truth:
            with pytest.raises(ItemError, match="megapixels"):
                data.read_ground_truth(sample)


def test_a_bomb_of_a_mask_is_refused_for_its_size(lay: Lay) -> None:
    root = lay("folder")
    (root / "truth/a.png").write_bytes(png_bomb(15_000))
    data = open_data(root)
    with pytest.raises(ItemError, match="expected a mask of 8x6 pixels"):
        data.read_ground_truth(data.samples[0])


NAMES = ["=1+1", "@SUM(A1)", "-cat", "кошка", "猫", "قطة", 'say "x"', "a, b", "it's", "<b>&amp", "a|b", "𝔘", "e\u0301"]


def test_names_of_all_kinds_pass(lay: Lay, formats: ModuleType, tmp_path: Path) -> None:
    import unicodedata

    expected = {unicodedata.normalize("NFC", name) for name in NAMES}
    root = lay("label-studio")
    result = {"type": "choices", "value": {"choices": NAMES}}
    tasks = [{"data": {"image": "a.jpg"}, "annotations": [{"result": [result]}]}]
    (root / "export.json").write_text(json.dumps(tasks))
    assert set(open_data(root).classes.names[1:]) == expected
    root = formats.folder(tmp_path / "csv")
    (root / "tags.jsonl").unlink()
    (root / "classes.txt").write_text("\n".join(["background", *NAMES]), encoding="utf-8")
    quoted = ";".join(NAMES).replace('"', '""')
    for separator, end, mark in ((",", "\n", ""), (";", "\r\n", "\ufeff"), ("\t", "\n", "\ufeff")):
        text = f'{mark}image{separator}tags{end}a.png{separator}"{quoted}"{end}'
        (root / "tags.csv").write_bytes(text.encode())
        (sample,) = open_data(root).samples
        assert sample.tags == tuple(range(1, len(NAMES) + 1))


@pytest.mark.parametrize("name", ["a;b", "a\nb", "a\x1bb", "", "  ", "\u2028"])
def test_names_that_no_tag_can_hold_are_refused(lay: Lay, name: str) -> None:
    root = lay("label-studio")
    result = {"type": "choices", "value": {"choices": ["cat", name]}}
    (root / "export.json").write_text(json.dumps([{"data": {"image": "a.jpg"}, "annotations": [{"result": [result]}]}]))
    assert "without ';' and control characters" in refused(root)


@pytest.mark.parametrize(
    ("outline", "words"),
    [
        ([[0, 0, 1e5, 0, 1e5, 1e5]], "lies far outside"),
        ([[0, 0, 1e30, 0, 1, 1]], "numbers below a million"),
        ([[0, 0, 1]], "expected polygons"),
        ([[0, 0, "1", 1, 2, 2]], "expected polygons"),
        ({"size": [6, 8], "counts": [48, 10**12]}, "run lengths as whole numbers"),
        ({"size": [6, 8], "counts": [10, 10]}, "add up to 20"),
        ({"size": [10**9, 10**9], "counts": [10**6]}, "are of size"),
        ({"size": [6, 8], "counts": "oooooooooooo"}, "damaged"),
        ({"size": [6, 8], "counts": "~~\u00ff"}, "damaged"),
        ({"size": [6, 8], "counts": "P"}, "middle"),
        ({"size": None, "counts": ""}, "are of size"),
        ("all", "expected a segmentation"),
        (None, "has no segmentation"),
        ([[0, 0, float("nan"), 0, 1, 1]], "numbers below a million"),
        ([], "is empty"),
        ([[{}]], "expected polygons"),
        ([{"size": [6, 8], "counts": [48]}, {"size": [8, 6], "counts": [48]}], "several sizes"),
        ([{"size": [6, 8], "counts": [48]}, 3], "expected a segmentation"),
    ],
)
def test_outlines_that_cannot_be_painted_cost_the_ground_truth_of_one_photograph(
    lay: Lay, formats: ModuleType, outline: object, words: str
) -> None:
    root, content = lay("coco"), formats.coco_json()
    content["annotations"][0]["segmentation"] = outline
    path = root / "annotations/instances_train2017.json"
    path.write_text(json.dumps(content, indent=0))
    data = open_data(root)
    assert [[data.classes.names[tag] for tag in one.tags] for one in data.samples] == [["person", "dog"], ["elephant"]]
    with pytest.raises(ItemError, match=words) as error:
        data.read_ground_truth(data.samples[0])
    assert re.search(rf"{re.escape(str(path))} line \d+ \(annotation 2\): ", str(error.value))
    data.read_ground_truth(data.samples[1])


def test_label_studio_fetches_nothing(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    root = lay("label-studio")
    tasks = json.loads((root / "export.json").read_text())
    tasks[1]["data"]["image"] = "https://example.org/b.jpg?token=1"
    tasks[2]["data"]["image"] = "http://[::1/c.jpg"
    (root / "export.json").write_text(json.dumps(tasks, indent=1))
    data = open_data(root)
    assert [sample.name for sample in data.samples] == ["a", "b"]
    assert "export.json line" in reasons(data)


def test_a_photograph_in_json_min_and_disagreeing_annotators(lay: Lay) -> None:
    root = lay("label-studio")
    rows = [
        {"image": "/data/upload/a.jpg", "id": 1, "choice": "cat", "annotator": 1},
        {"image": "b.jpg", "id": 2, "tags": {"choices": ["dog", "cat"]}},
        {"image": "trip/c d.jpg", "id": 3, "label": [{"rectanglelabels": ["dog"], "x": 1}]},
    ]
    (root / "export.json").write_text(json.dumps(rows))
    data = open_data(root)
    assert [[data.classes.names[tag] for tag in sample.tags] for sample in data.samples] == [
        ["cat"],
        ["cat", "dog"],
        ["dog"],
    ]
    both = [{"result": [{"type": "choices", "value": {"choices": tags}}]} for tags in (["cat", "dog"], ["cat"])]
    (root / "export.json").write_text(
        json.dumps([*rows[1:], {"data": {"image": "a.jpg"}, "annotations": both}], indent=1)
    )
    assert "give it different tags" in reasons(open_data(root))


def test_tiff_and_gif_bombs_in_memory_and_a_broken_image(lay: Lay, formats: ModuleType, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    buffer = io.BytesIO()
    Image.new("L", (9, 9)).save(buffer, "GIF")
    features = datasets.Features(image=datasets.Image(), tags=datasets.Value("string"))
    images = [png_bomb(40_000), buffer.getvalue()[:20], b"", buffer.getvalue()]
    rows = {"image": [{"bytes": one, "path": None} for one in images], "tags": ["cat"] * 4}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "hub"))
    data = open_data(tmp_path / "hub")
    for sample in data.samples[:3]:
        with pytest.raises(DhrError):
            data.read_image(sample)
    assert data.read_image(data.samples[3]).shape == (9, 9, 3)
