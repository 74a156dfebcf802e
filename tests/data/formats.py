"""Each official layout in miniature, written by hand as the publishers describe it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dhr.data.palette import palette

SIZE = (6, 8)  # height, width


def photograph(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(path)


def mask(path: Path, row: list[int], indexed: bool = True) -> np.ndarray:
    """A mask each of whose rows begins with ``row``, the rest being its last number."""
    labels = np.full(SIZE, row[-1], np.uint8)
    labels[:, : len(row)] = row
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if indexed:
        image.putpalette(palette().tobytes())
    image.save(path)
    return labels


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def annotation(path: Path, *names: str) -> None:
    objects = "".join(
        f"<object><name>{name}</name><difficult>{index % 2}</difficult><bndbox><xmin>1</xmin></bndbox></object>\n"
        for index, name in enumerate(names)
    )
    write(path, f"<annotation>\n<folder>VOC2012</folder>\n{objects}</annotation>\n")


def voc(root: Path) -> Path:
    top = root / "VOCdevkit" / "VOC2012"
    for name, row, tags in (
        ("2007_000032", [0, 1, 15, 255], ("aeroplane", "person", "person")),
        ("2007_000039", [0, 20], ("tvmonitor",)),
        ("2008_000001", [0, 8, 255], ("cat",)),
    ):
        photograph(top / "JPEGImages" / f"{name}.jpg")
        annotation(top / "Annotations" / f"{name}.xml", *tags)
        mask(
            top / ("SegmentationClassAug" if name[3] == "8" else "SegmentationClass") / f"{name}.png",
            row,
            name[3] != "8",
        )
    write(top / "ImageSets/Segmentation/train.txt", "2007_000032\n2007_000039\n")
    write(
        top / "ImageSets/Segmentation/train_aug.txt",
        "".join(f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png\n" for n in ("2007_000032", "2008_000001")),
    )
    return root


def context(root: Path) -> Path:
    top = root / "VOC2010"
    for name, row in (("a", [0, 1, 59]), ("b", [30, 255])):
        photograph(top / "JPEGImages" / f"{name}.jpg")
        mask(top / "SegmentationClassContext" / f"{name}.png", row, indexed=False)
    photograph(top / "JPEGImages" / "unlabelled.jpg")
    write(top / "ImageSets/SegmentationContext/train.txt", "a\n")
    return root


def ade(root: Path) -> Path:
    top = root / "ADEChallengeData2016"
    for split, name, row in (("training", "ADE_train_1", [0, 1, 150]), ("validation", "ADE_val_1", [13, 0])):
        photograph(top / "images" / split / f"{name}.jpg")
        mask(top / "annotations" / split / f"{name}.png", row, indexed=False)
    return root


def stuff(root: Path) -> Path:
    for split, name, row in (("train2017", "000000000009", [0, 181, 255]), ("val2017", "000000000139", [12, 91])):
        photograph(root / "images" / split / f"{name}.jpg")
        mask(root / "stuffthingmaps_trainval2017" / split / f"{name}.png", row, indexed=False)
    return root


def coco_json(categories: list[dict] | None = None) -> dict:
    """Two photographs: a person with a small dog on top, before a crowd; one with an elephant of run lengths."""
    square, corner = [0, 0, 4, 0, 4, 6, 0, 6], [0, 0, 2, 0, 2, 2, 0, 2]
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 9, "file_name": "000000000009.jpg", "height": 6, "width": 8},
            {"id": 25, "file_name": "000000000025.jpg", "height": 6, "width": 8},
        ],
        "annotations": [
            {"id": 2, "image_id": 9, "category_id": 18, "iscrowd": 0, "area": 4.0, "segmentation": [corner]},
            {"id": 1, "image_id": 9, "category_id": 1, "iscrowd": 0, "area": 24.0, "segmentation": [square]},
            {
                "id": 3, "image_id": 9, "category_id": 1, "iscrowd": 1, "area": 48.0,
                "segmentation": {"size": [6, 8], "counts": [0, 48]},
            },
            {
                "id": 4, "image_id": 25, "category_id": 22, "iscrowd": 0, "area": 6.0,
                "segmentation": {"size": [6, 8], "counts": [6, 6, 36]},
            },
        ],
        "categories": categories
        or [
            {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 18, "name": "dog", "supercategory": "animal"},
            {"id": 22, "name": "elephant", "supercategory": "animal"},
        ],
    }  # fmt: skip


def coco(root: Path) -> Path:
    for name in ("000000000009", "000000000025"):
        photograph(root / "train2017" / f"{name}.jpg")
    write(root / "annotations/instances_train2017.json", json.dumps(coco_json()))
    return root


def release(root: Path) -> Path:
    top = root / "VOC2012"
    for split, name, row, tags in (
        ("train_aug", "2007_000032", [0, 1, 15, 255], ("aeroplane", "person")),
        ("validation", "2007_000033", [0, 8], ("cat",)),
    ):
        photograph(top / split / "image" / f"{name}.jpg")
        mask(top / split / "mask" / f"{name}.png", row)
        annotation(top / split / "xml" / f"{name}.xml", *tags)
    photograph(top / "test" / "image" / "2008_000006.jpg")
    return top


def label_studio(root: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "trip/c d.jpg"):
        photograph(root / "images" / name)

    def task(image: str, *choices: str) -> dict:
        result = {"type": "choices", "from_name": "tags", "to_name": "image", "value": {"choices": list(choices)}}
        cancelled = {"was_cancelled": True, "result": []}
        return {"data": {"image": image}, "annotations": [cancelled, {"was_cancelled": False, "result": [result]}]}

    tasks = [
        task("/data/upload/1/0a1b2c3d-a.jpg", "cat", "dog"),
        task("s3://bucket/photos/b.jpg", "dog"),
        task("/data/local-files/?d=photos/trip/c%20d.jpg", "=1+1"),
    ]
    write(root / "export.json", json.dumps(tasks, indent=1))
    return root


def cvat(root: Path) -> Path:
    for name in ("a.jpg", "trip/b.jpg"):
        photograph(root / "images" / "default" / name)
    write(
        root / "annotations.xml",
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task><labels>\n'
        "<label><name>dog</name></label><label><name>кошка &amp; co</name></label>\n</labels></task></meta>\n"
        '<image id="0" name="a.jpg" width="8" height="6">\n<tag label="dog" source="manual"></tag>\n'
        '<box label="кошка &amp; co" xtl="1" ytl="1" xbr="2" ybr="2"></box>\n</image>\n'
        '<image id="1" name="trip/b.jpg" width="8" height="6"><tag label="dog"/></image>\n</annotations>\n',
    )
    return root


def yolo(root: Path) -> Path:
    """A cat in the left half of a photograph and a dog above it; a photograph with a box; one that shows nothing."""
    for name in ("train/a.jpg", "train/trip/b.jpg", "val/c.jpg"):
        photograph(root / "images" / name)
    write(root / "labels/train/a.txt", "1 0 0 0.49 0 0.49 0.99 0 0.99\n0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n")
    write(root / "labels/train/trip/b.txt", "0 0.5 0.5 0.2 0.2\n")
    write(root / "labels/val/c.txt", "")
    write(
        root / "data.yaml", "path: ../datasets/pets\ntrain: images/train\nval: images/val\nnames:\n  0: dog\n  1: cat\n"
    )
    return root


def datumaro(root: Path) -> Path:
    """Datumaro's own JSON, by hand: run lengths of a cat, a box of a dog."""
    for name in ("a.jpg", "trip/b.jpg"):
        photograph(root / "images" / name)
    mask = {"type": "mask", "id": 1, "group": 1, "label_id": 1, "rle": {"counts": "0h0h0", "size": [6, 8]}}
    box = {"type": "bbox", "id": 2, "group": 2, "label_id": 0, "bbox": [1, 1, 2, 2]}
    items = [
        {"id": name, "annotations": [one | {"attributes": {}, "z_order": 0}], "image": {"path": f"{name}.jpg"}}
        for name, one in (("a", mask), ("trip/b", box))
    ]
    labels = [{"name": "dog", "parent": "", "attributes": []}, {"name": "cat", "parent": "", "attributes": []}]
    content = {
        "dm_format_version": "1.0", "media_type": 2, "infos": {},
        "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []}}, "items": items,
    }  # fmt: skip
    write(root / "annotations/default.json", json.dumps(content))
    return root


def class_folders(root: Path) -> Path:
    for name in ("cat/1.jpg", "cat/2.png", "dog/1.jpg"):
        photograph(root / name)
    return root


def folder(root: Path) -> Path:
    photograph(root / "images" / "a.png")
    write(root / "classes.txt", "background\ncat\ndog\n")
    write(root / "tags.jsonl", '{"image": "a", "tags": ["dog", "cat"]}\n')
    mask(root / "truth" / "a.png", [0, 1, 2])
    return root


FORMATS: dict[str, Callable[[Path], Path]] = {
    "voc": voc,
    "context": context,
    "ade": ade,
    "stuff": stuff,
    "coco": coco,
    "release": release,
    "folder": folder,
    "yolo": yolo,
    "datumaro": datumaro,
    "cvat": cvat,
    "label-studio": label_studio,
    "class-folders": class_folders,
}


def huggingface(root: Path) -> Path:
    import datasets

    png = root.parent / "a.png"
    photograph(png)
    mask(root.parent / "truth.png", [0, 1, 2])
    content, truth = png.read_bytes(), (root.parent / "truth.png").read_bytes()
    features = datasets.Features(
        image=datasets.Image(), labels=datasets.Sequence(datasets.ClassLabel(names=["cat", "dog"])),
        name=datasets.Value("string"), mask=datasets.Image(),
    )  # fmt: skip
    rows = {
        "image": [{"bytes": content, "path": None}] * 2,
        "labels": [[1, 0], [0]],
        "name": ["a.png", "../../b"],
        "mask": [{"bytes": truth, "path": None}] * 2,
    }
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(root))
    return root


FORMATS["huggingface"] = huggingface


def manifest(root: Path) -> Path:
    """A folder of two tables; one of its photographs is named twice, by a path and by a URI."""
    from dhr.data.manifest import Entry, write_manifest
    from dhr.data.samples import ClassTable

    classes = ClassTable(("background", "cat", "dog"), True)
    for name in ("pictures/a.png", "pictures/b.png"):
        photograph(root / name)
    mask(root / "pictures/masks/a.png", [0, 1, 2])
    parts = [
        [Entry("a", "pictures/a.png", ("dog", "cat"), (6, 8), "train", "pictures/masks/a.png")],
        [
            Entry("trip/b", str(root.absolute() / "pictures/b.png"), ("cat",)),
            Entry("c", (root.absolute() / "pictures/b.png").as_uri(), ()),
        ],
    ]
    for number, entries in enumerate(parts):
        write_manifest(root / f"part-{number}.parquet", classes, entries)
    return root


FORMATS["manifest"] = manifest
