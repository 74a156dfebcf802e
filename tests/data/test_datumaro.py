"""Datumaro's formats: what its files hold, and files that were made to do harm."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import VOID, DataSet, open_data
from dhr.errors import DataError, ItemError

pytest.importorskip("datumaro")

Lay = Callable[[str], Path]


def tags(data: DataSet) -> dict[str, list[str]]:
    return {one.name: [data.classes.names[tag] for tag in one.tags] for one in data.samples}


def change(root: Path, **first: Any) -> None:
    """Change the first annotation of the first photograph."""
    path = root / "annotations/default.json"
    content = json.loads(path.read_text())
    content["items"][0]["annotations"][0] |= first
    path.write_text(json.dumps(content))


def add(root: Path, *annotations: dict[str, Any]) -> None:
    path = root / "annotations/default.json"
    content = json.loads(path.read_text())
    content["items"][0]["annotations"] += [{"attributes": {}, "group": 0, "z_order": 0} | one for one in annotations]
    path.write_text(json.dumps(content))


def test_polygons_boxes_and_labels(lay: Lay) -> None:
    root = lay("datumaro")
    polygon = {"type": "polygon", "id": 5, "label_id": 0, "points": [5, 0, 8, 0, 8, 6, 5, 6]}
    add(root, polygon)
    data = open_data(root)
    labels = data.read_ground_truth(data.samples[0])
    assert (labels[:, :4] == 2).all() and (labels[:, 5:] == 1).all() and not labels[:, 4].any()
    add(root, {"type": "bbox", "id": 1, "group": 1, "label_id": 1, "bbox": [0, 0, 4, 6]})  # of the same object
    assert open_data(root).samples[0].has_ground_truth
    add(root, {"type": "label", "id": 9, "label_id": 0})
    data = open_data(root)
    assert tags(data)["a"] == ["dog", "cat"] and not data.samples[0].has_ground_truth


def test_crowds_are_void_beside_objects_of_their_class_only(lay: Lay) -> None:
    root = lay("datumaro")
    change(root, attributes={"is_crowd": True})
    data = open_data(root)
    assert set(np.unique(data.read_ground_truth(data.samples[0]))) == {0, 2}
    add(root, {"type": "polygon", "id": 5, "label_id": 1, "points": [5, 0, 8, 0, 8, 6, 5, 6]})
    data = open_data(root)
    assert set(np.unique(data.read_ground_truth(data.samples[0]))) == {0, 2, VOID}


@pytest.mark.parametrize(
    "runs",
    [
        {"counts": "0h0h0", "size": [10**9, 10**9]},
        {"counts": "0h0h0", "size": [60, 8]},
        {"counts": "oooooooooooo", "size": [6, 8]},
        {"counts": "P", "size": [6, 8]},
        {"counts": "", "size": [-6, 8]},
    ],
)
def test_run_lengths_that_do_not_fit_cost_one_ground_truth(lay: Lay, runs: dict[str, Any]) -> None:
    root = lay("datumaro")
    change(root, rle=runs)
    data = open_data(root)
    assert tags(data) == {"a": ["cat"], "trip/b": ["dog"]}
    with pytest.raises(ItemError):
        data.read_ground_truth(data.samples[0])


def test_another_number_of_a_label_is_named(lay: Lay) -> None:
    root = lay("datumaro")
    change(root, label_id=77)
    data = open_data(root)
    assert tags(data) == {"trip/b": ["dog"]} and "a mask without a label is not read" in data.problems[0].reason


def test_ids_and_paths_lead_nowhere(lay: Lay, tmp_path: Path) -> None:
    root = lay("datumaro")
    Image.new("RGB", (8, 6)).save(tmp_path / "secret.jpg")
    path = root / "annotations/default.json"
    content = json.loads(path.read_text())
    for name, file in (("../secret", "../secret.jpg"), ("c", str(tmp_path / "secret.jpg")), ("/etc/passwd", "x.jpg")):
        content["items"].append({"id": name, "annotations": [], "image": {"path": file}})
    path.write_text(json.dumps(content))
    try:
        data = open_data(root)
    except DataError as error:  # the library may refuse the file as a whole
        assert len(str(error).splitlines()) == 1
    else:
        assert set(tags(data)) <= {"a", "trip/b"} and all("secret" not in one.source for one in data.samples)


@pytest.mark.parametrize(
    "text", ["", "{", '{"dm_format_version": "1.0"}', '{"dm_format_version": ' + "[" * 100_000, "[]"]
)
def test_damaged_files_are_one_line(lay: Lay, text: str) -> None:
    root = lay("datumaro")
    (root / "annotations/default.json").write_text(text)
    with pytest.raises(DataError) as error:
        open_data(root, format="datumaro")
    assert len(str(error.value).splitlines()) == 1


def test_nothing_waits_and_nothing_is_unpacked_without_end(lay: Lay) -> None:
    root = lay("datumaro")
    (root / "elsewhere").symlink_to("/", target_is_directory=True)
    with pytest.raises(DataError, match="elsewhere: a link to a folder"):
        open_data(root)
    (root / "elsewhere").unlink()
    os.mkfifo(root / "annotations" / "b.json")
    with pytest.raises(DataError, match=r"b\.json: .*pipe"):
        open_data(root)
    (root / "annotations" / "b.json").unlink()
    with (root / "annotations" / "c.datum").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(DataError, match=r"c\.datum: .*over the limit"):
        open_data(root)


@pytest.mark.parametrize("size", ["100000", "-1", "x"])
def test_a_mask_larger_than_any_photograph_is_refused_before_the_library_reads_it(
    tmp_path: Path, formats: Any, size: str
) -> None:
    formats.photograph(tmp_path / "images" / "a.jpg")
    formats.write(tmp_path / "dhr.json", json.dumps({"datumaro_format": "cvat"}))
    mask = f'<mask label="cat" rle="1" left="0" top="0" width="{size}" height="100000"/>'
    image = f'<image id="0" name="a.jpg" width="8" height="6">{mask}</image>'
    formats.write(tmp_path / "train.xml", f"<annotations><version>1.1</version>{image}</annotations>")
    with pytest.raises(DataError, match="expected a mask with a width and height"):
        open_data(tmp_path)


def test_nothing_that_a_file_holds_is_run(lay: Lay, tmp_path: Path) -> None:
    class Shout:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    root = lay("datumaro")
    content = pickle.dumps(Shout())
    for name in ("annotations/train.datum", "datum-0.arrow", "data.pkl", "meta", "annotations/train.arrow"):
        (root / name).write_bytes(content)
        with pytest.raises(DataError):
            open_data(root)
            raise DataError("it may be passed over")
    assert not (tmp_path / "ran").exists()


def test_the_record_of_an_export_may_be_anything(lay: Lay) -> None:
    root = lay("datumaro")
    for record in ([], {"datumaro_format": ["x"]}, {"datumaro_format": "imagenet"}, {"classes": 3, "background": "no"}):
        (root / "dhr.json").write_text(json.dumps(record))
        assert open_data(root).classes.names == ("background", "dog", "cat")
    (root / "dhr.json").write_text(json.dumps({"classes": ["cat", "owl", "dog"], "background": False}))
    data = open_data(root)
    assert data.classes.names == ("cat", "owl", "dog") and not data.classes.background
    assert set(np.unique(data.read_ground_truth(data.samples[0]))) == {0, VOID}
