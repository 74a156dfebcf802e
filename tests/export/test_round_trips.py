"""Each format, read back by the library of the tool that it is for: the masks are equal pixel by pixel."""

import importlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image

from dhr.data import palette
from dhr.data.palette import distinct_palette
from dhr.errors import ConfigError
from dhr.export.through_datumaro import DATUMARO_FORMATS

VOC_NAMES = ("background", *(f"class-{number}" for number in range(1, 21)))


def test_png(masks: Any, tmp_path: Path) -> None:
    done = masks.export("png", tmp_path / "out")
    assert (done.masks, done.kept, done.problems) == (4, 0, ())
    for name, labels in masks.labels.items():
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert image.mode == "P"
            assert (np.array(image) == labels).all()  # void included
            assert image.getpalette("RGB") == distinct_palette(True).ravel().tolist()
    assert (tmp_path / "out" / "classes.txt").read_text(encoding="utf-8") == "\n".join(masks.names) + "\n"


@pytest.mark.parametrize("instances", [False, True])
def test_coco(masks: Any, tmp_path: Path, instances: bool, capsys: Any) -> None:
    coco_api = pytest.importorskip("pycocotools.coco")
    label = pytest.importorskip("scipy.ndimage").label
    masks.export("coco", tmp_path / "coco.json", instances=instances)
    coco = coco_api.COCO(str(tmp_path / "coco.json"))
    assert {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())} == dict(enumerate(masks.names[1:], 1))
    assert len(coco.imgs) == 4
    for image in coco.imgs.values():
        assert image["file_name"].endswith(".jpg")
        name = image["file_name"].removesuffix(".jpg")
        expected = masks.held(name)
        assert (image["height"], image["width"]) == expected.shape
        found = np.zeros_like(expected)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
            mask = coco.annToMask(annotation).astype(bool)
            assert not found[mask].any()
            found[mask] = annotation["category_id"]
            assert annotation["area"] == mask.sum() and annotation["iscrowd"] == 0
            rows, columns = np.nonzero(mask)
            x, y, width, height = annotation["bbox"]
            assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert not instances or label(mask, np.ones((3, 3)))[1] == 1
        assert (found == expected).all()
        if not instances:
            assert len(coco.getAnnIds(imgIds=[image["id"]])) == len(np.unique(expected[expected > 0]))


def test_coco_holds_super_classes(masks: Any, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools.mask")
    lines = ["class,supercategory", *(f'"{name.replace(chr(34), chr(34) * 2)}",upper' for name in masks.names[1:])]
    (masks.root / "supercategories.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    masks.export("coco", tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert {one["supercategory"] for one in content["categories"]} == {"upper"}


def test_coco_without_background_begins_with_1(plain: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("pycocotools.mask")
    plain({"a": np.array([[0, 1], [1, 255]], np.uint8)}, ("sky", "sea")).export("coco", tmp_path / "coco.json")
    content = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert [(one["id"], one["name"]) for one in content["categories"]] == [(1, "sky"), (2, "sea")]
    assert [one["category_id"] for one in content["annotations"]] == [1, 2]


@pytest.mark.parametrize("instances", [False, True])
def test_labelstudio(masks: Any, tmp_path: Path, instances: bool) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    masks.export("labelstudio", tmp_path / "out", instances=instances)
    labelling = interface.LabelInterface((tmp_path / "out" / "config.xml").read_text(encoding="utf-8"))
    labelling.validate()
    assert set(labelling.get_control("label").labels) == set(masks.names[1:])
    tasks = json.loads((tmp_path / "out" / "tasks-001.json").read_text(encoding="utf-8"))
    assert len(tasks) == 4
    for task in tasks:
        assert labelling.validate_prediction(task["predictions"][0], return_errors=True) == []
        name = unquote(task["data"]["image"]).removeprefix("/data/local-files/?d=images/").removesuffix(".jpg")
        expected = masks.held(name)
        found = np.zeros_like(expected)
        regions = task["predictions"][0]["result"]
        assert len({region["id"] for region in regions}) == len(regions)
        for region in regions:
            assert (region["original_height"], region["original_width"]) == expected.shape
            layer = brush.decode_rle(region["value"]["rle"]).reshape(*expected.shape, 4)[:, :, 3]
            (label,) = region["value"]["brushlabels"]
            found[layer == 255] = masks.names.index(label)
        assert (found == expected).all()


def test_labelstudio_tasks_are_parted(masks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("label_studio_sdk.converter.brush")
    monkeypatch.setattr(importlib.import_module("dhr.export.labelstudio"), "MOST", 2000)
    masks.export("labelstudio", tmp_path / "out")
    files = sorted((tmp_path / "out").glob("tasks-*.json"))
    tasks = [task for file in files for task in json.loads(file.read_text(encoding="utf-8"))]
    assert len(files) > 1 and len(tasks) == 4
    assert [unquote(task["data"]["image"].rpartition("=images/")[2]) for task in tasks] == [
        f"{name}.jpg" for name in sorted(masks.labels)
    ]


@pytest.mark.parametrize("instances", [False, True])
def test_cvat(masks: Any, tmp_path: Path, instances: bool) -> None:
    datumaro = pytest.importorskip("datumaro")
    masks.export("cvat", tmp_path / "out", instances=instances)
    (tmp_path / "out" / "images").symlink_to(masks.root / "images")  # datumaro's reader wants them there
    data = datumaro.Dataset.import_from(str(tmp_path / "out"), "cvat")
    assert compare(datumaro, data, masks) == 4
    labels = json.loads((tmp_path / "out" / "labels.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in labels] == list(masks.names[1:])


def test_cvat_masks_lie_in_their_boxes(plain: Callable[..., Any], tmp_path: Path) -> None:
    labels = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]], np.uint8)
    plain({"a": labels}, ("background", "cat")).export("cvat", tmp_path / "out")
    image = ElementTree.parse(tmp_path / "out" / "annotations.xml").getroot().find("image")
    assert image is not None and image.attrib == {"id": "0", "name": "a.jpg", "width": "4", "height": "3"}
    mask = image.find("mask")
    assert mask is not None
    expected = {"left": "2", "top": "1", "width": "2", "height": "2", "rle": "0, 2, 1, 1", "label": "cat"}
    assert {key: mask.attrib[key] for key in expected} == expected


@pytest.mark.parametrize("kind", DATUMARO_FORMATS)
def test_datumaro_keeps_hard_names_or_says_so(kind: str, masks: Any, tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    given = masks
    try:
        given.export("datumaro", tmp_path / "out", datumaro_format=kind, images="copy")
    except ConfigError as error:
        assert kind in str(error) and "holds names without" in str(error)
        assert not (tmp_path / "out").exists()
        names = tuple(name.replace(" ", "_").replace(":", ".") for name in masks.names)
        given = type(masks)(masks.root, names, masks.labels).write()
        given.export("datumaro", tmp_path / "out", datumaro_format=kind, images="copy")
    data = datumaro.Dataset.import_from(str(tmp_path / "out"), kind)
    names = [one.name for one in data.categories()[datumaro.AnnotationType.label]]
    assert set(given.names[1:]) <= set(names)


@pytest.mark.parametrize("kind", ["camvid", "cityscapes", "kitti", "voc", "datumaro"])
def test_datumaro_without_background(kind: str, plain: Callable[..., Any], tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    labels = np.random.default_rng(0).choice([0, 1, 2, 255], (20, 30)).astype(np.uint8)
    given = plain({"a": labels}, ("sky", "sea", "dog"))
    given.export("datumaro", tmp_path / "out", datumaro_format=kind, images="copy")
    data = datumaro.Dataset.import_from(str(tmp_path / "out"), kind)
    names = [one.name for one in data.categories()[datumaro.AnnotationType.label]]
    (item,) = data
    found = np.full_like(labels, 255)
    for annotation in item.annotations:
        if annotation.type == datumaro.AnnotationType.mask and names[annotation.label] in given.names:
            found[np.asarray(annotation.image).astype(bool)] = given.names.index(names[annotation.label])
    assert (found == labels).all()


@pytest.mark.parametrize("kind", DATUMARO_FORMATS)
def test_datumaro(kind: str, plain: Callable[..., Any], tmp_path: Path, voc: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    labels = {}
    for path in sorted((voc / "masks").glob("*.png"))[:2]:
        with Image.open(path) as image:
            labels[path.stem] = np.array(image)[::4, ::4]
    given = plain(labels, VOC_NAMES)
    given.export("datumaro", tmp_path / "out", datumaro_format=kind, images="copy")
    assert compare(datumaro, datumaro.Dataset.import_from(str(tmp_path / "out"), kind), given) == 2


def test_datumaro_keeps_hard_names(masks: Any, tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    masks.export("datumaro", tmp_path / "out")
    assert not list(tmp_path.rglob("out/**/*.jpg"))  # photographs are not copied unless asked
    data = datumaro.Dataset.import_from(str(tmp_path / "out"), "datumaro")
    assert compare(datumaro, data, masks) == 4


def compare(datumaro: Any, data: Any, masks: Any) -> int:
    names = [one.name for one in data.categories()[datumaro.AnnotationType.label]]
    count = 0
    for item in data:
        expected = masks.held(item.id)
        found = np.zeros_like(expected)
        for annotation in item.annotations:
            if annotation.type == datumaro.AnnotationType.mask and names[annotation.label] in masks.names:
                found[np.asarray(annotation.image).astype(bool)] = masks.names.index(names[annotation.label])
        assert (found == expected).all(), item.id
        count += 1
    return count


def test_voc_server(plain: Callable[..., Any], tmp_path: Path) -> None:
    labels = {"2008_000001": np.array([[0, 20], [255, 7]], np.uint8)}
    given = plain(labels, VOC_NAMES)
    given.export("voc-server", tmp_path / "a.tgz", competition="comp5")
    with tarfile.open(tmp_path / "a.tgz", "r:gz") as archive:
        (member,) = archive.getmembers()
        assert member.name == "results/VOC2012/Segmentation/comp5_test_cls/2008_000001.png"
        file = archive.extractfile(member)
        assert file is not None
        with Image.open(io.BytesIO(file.read())) as image:
            assert image.mode == "P" and image.getpalette("RGB") == palette().ravel().tolist()
            assert np.array(image).tolist() == [[0, 20], [0, 7]]


@pytest.mark.parametrize("background", [False, True])
def test_ade_server(plain: Callable[..., Any], tmp_path: Path, background: bool) -> None:
    names = tuple(f"class {number}" for number in range(1, 151))
    labels = np.array([[0, 149, 255]], np.uint8) + np.array([[background, background, 0]], np.uint8)
    given = plain({"ADE_test_1": labels}, (("background",) if background else ()) + names)
    given.export("ade-server", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["ADE_test_1.png"] and archive.testzip() is None
        with Image.open(archive.open("ADE_test_1.png")) as image:
            assert image.mode == "L" and np.array(image).tolist() == [[1, 150, 0]]


def test_lightly_is_read_by_the_rules_of_labelformat(masks: Any, tmp_path: Path) -> None:
    """labelformat: run lengths are numbers, column by column, of annotations with ``iscrowd`` 1."""
    masks.export("lightly", tmp_path / "masks.json")
    content = json.loads((tmp_path / "masks.json").read_text(encoding="utf-8"))
    names = {one["id"]: one["name"] for one in content["categories"]}
    found = {one["id"]: np.zeros((one["height"], one["width"]), np.uint8) for one in content["images"]}
    for one in content["annotations"]:
        assert one["iscrowd"] == 1 and all(type(length) is int for length in one["segmentation"]["counts"])
        counts, size = np.array(one["segmentation"]["counts"]), one["segmentation"]["size"]
        shape = found[one["image_id"]]
        assert tuple(size) == shape.shape
        inside = np.repeat(np.arange(counts.size) % 2, counts).reshape(size, order="F").astype(bool)
        shape[inside] = masks.names.index(names[one["category_id"]])
        rows, columns = np.nonzero(inside)
        assert one["bbox"][:2] == [columns.min(), rows.min()]
    for one in content["images"]:
        assert (found[one["id"]] == masks.held(one["file_name"].removesuffix(".jpg"))).all()


@pytest.mark.parametrize("background", [True, False])
def test_fiftyone_and_labels_are_grey_and_have_nothing_at_0(
    background: bool, plain: Callable[..., Any], tmp_path: Path
) -> None:
    """OpenCV, with which FiftyOne reads masks, gives their numbers; a TIFF of napari has the same."""
    cv2 = pytest.importorskip("cv2")
    names = ("background", "cat", "dog") if background else ("sky", "sea", "dog")
    labels = np.random.default_rng(0).choice([0, 1, 2, 255], (20, 30)).astype(np.uint8)
    given = plain({"trip/a": labels}, names)
    given.export("fiftyone", tmp_path / "one")
    given.export("labels", tmp_path / "two")
    wanted = labels if background else np.where(labels == 255, 255, labels + 1)
    mask = cv2.imread(str(tmp_path / "one" / "labels" / "trip" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert mask.dtype == np.uint8 and (mask == wanted).all()
    with Image.open(tmp_path / "two" / "trip" / "a.tif") as image:
        assert image.mode == "L" and (np.array(image) == wanted).all()
    targets = json.loads((tmp_path / "one" / "mask_targets.json").read_text())
    table = names if background else ("background", *names)
    assert targets == {str(number): name for number, name in enumerate(table)} | {"255": "void"}
    photograph = tmp_path / "one" / "data" / "trip" / "a.jpg"
    assert photograph.is_symlink() and photograph.resolve() == (given.root / "images" / "trip" / "a.jpg").resolve()
    assert [path.suffix for path in (tmp_path / "one" / "labels").rglob("*.*")] == [".png"]  # FiftyOne takes all files
    assert (tmp_path / "two" / "classes.txt").read_text().split() == list(table)


def test_grey_formats_hold_254_classes_without_a_background(plain: Callable[..., Any], tmp_path: Path) -> None:
    given = plain({"a": np.full((2, 2), 254, np.uint8)}, tuple(f"class {number}" for number in range(255)))
    for to in ("fiftyone", "labels"):
        with pytest.raises(ConfigError, match="254 classes"):
            given.export(to, tmp_path / to)


@pytest.mark.parametrize("instances", [False, True])
def test_geojson_outlines_are_the_edges_of_pixels(masks: Any, tmp_path: Path, instances: bool) -> None:
    """Each pixel whose centre lies in a polygon and in none of its holes is of the class, and no other pixel."""
    shapely = pytest.importorskip("shapely")
    geometry = pytest.importorskip("shapely.geometry")
    pytest.importorskip("cv2")
    masks.export("geojson", tmp_path / "out", instances=instances)
    for name, labels in masks.labels.items():
        content = json.loads((tmp_path / "out" / f"{name}.geojson").read_text(encoding="utf-8"))
        assert content["type"] == "FeatureCollection"
        assert len({one["id"] for one in content["features"]}) == len(content["features"])
        rows, columns = np.indices(labels.shape)
        found = np.zeros_like(labels)
        for feature in content["features"]:
            shape = geometry.shape(feature["geometry"])
            assert shape.is_valid and feature["properties"]["objectType"] == "annotation"
            called = feature["properties"]["classification"]["name"]
            inside = shapely.contains_xy(shape, columns + 0.5, rows + 0.5)
            assert inside.sum() == shape.area and not found[inside].any()
            found[inside] = 255 if called == "Ignore*" else masks.names.index(called)
        assert (found == labels).all()


def test_yolo_files(masks: Any, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    masks.export("yolo", tmp_path / "out")
    description = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert description["names"] == dict(enumerate(masks.names[1:]))
    listed = (tmp_path / "out" / description["train"]).read_text(encoding="utf-8").splitlines()
    assert listed == [f"./images/train/{name}.jpg" for name in sorted(masks.labels)]
    for line in listed:
        image = tmp_path / "out" / line
        assert image.is_symlink() and image.resolve().is_relative_to(masks.root)
        assert where_yolo_looks(image).is_file()
    assert where_yolo_looks(tmp_path / "out" / listed[2]).read_text() == ""  # nothing but background


def test_yolo_splits_share_a_folder(masks: Any, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    (masks.root / "splits").mkdir()
    (masks.root / "splits" / "train.txt").write_text("a\nempty\n")
    (masks.root / "splits" / "val.txt").write_text("b & <c>\n")
    for split in ("train", "val"):
        masks.export("yolo", tmp_path / "out", split=split)
    description = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert (description["train"], description["val"]) == ("train.txt", "val.txt")
    assert (tmp_path / "out" / "val.txt").read_text() == "./images/val/b & <c>.jpg\n"
    assert (tmp_path / "out" / "train.txt").read_text() == "./images/train/a.jpg\n./images/train/empty.jpg\n"


def where_yolo_looks(image: Path) -> Path:
    """Ultralytics: the last ``/images/`` of the path becomes ``/labels/``, the suffix ``.txt``."""
    return Path("/labels/".join(str(image).rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt")
