"""Seconds and memory that opening a data set of COCO's size takes: generated annotations, no photograph is decoded."""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import commit, machine

from dhr.data import open_data
from dhr.data.benchmarks import benchmark


def write_instances(root: Path, images: int, objects: int, points: int) -> Path:
    """``annotations/instances_train2017.json`` with random polygons, and empty files in place of photographs."""
    random = np.random.default_rng(0)
    coco = benchmark("coco")
    assert coco.categories is not None and coco.classes.supers is not None
    folder = root / "train2017"
    folder.mkdir(parents=True)
    path = root / "annotations" / "instances_train2017.json"
    path.parent.mkdir()
    table = zip(coco.categories[1:], coco.classes.names[1:], coco.classes.supers[1:], strict=True)
    categories = [{"id": one, "name": name, "supercategory": upper} for one, name, upper in table]
    with path.open("w") as file:
        named = [{"id": one, "file_name": f"{one:012d}.jpg", "height": 480, "width": 640} for one in range(images)]
        file.write('{"info": {}, "images": ' + json.dumps(named) + ', "annotations": [')
        for one in range(objects):
            outline = [random.uniform(0, 480, 2 * points).round(2).tolist()]
            annotation = {
                "segmentation": outline, "area": 99.5, "iscrowd": 0, "image_id": one % images,
                "bbox": [1.0, 2.0, 3.0, 4.0], "category_id": coco.categories[1 + one % 80], "id": one,
            }  # fmt: skip
            file.write((", " if one else "") + json.dumps(annotation))
        file.write('], "categories": ' + json.dumps(categories) + "}")
    for one in range(images):
        (folder / f"{one:012d}.jpg").touch()
    return path


def main() -> None:
    """Write the annotations, open them, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--objects", type=int, default=860_001)
    parser.add_argument("--points", type=int, default=25, help="corners of each outline")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write_instances(Path(folder), given.images, given.objects, given.points)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        data = open_data(folder)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        assert len(data.samples) == given.images and not data.problems
        found = {
            "commit": commit(),
            **machine(torch.device("cpu")),
            "images": given.images,
            "objects": given.objects,
            "file_mb": round(path.stat().st_size / 2**20),
            "seconds": round(seconds, 2),
            "memory_before_mb": round(before),
            "peak_memory_mb": round(peak),
        }
    text = json.dumps(found, indent=2)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
