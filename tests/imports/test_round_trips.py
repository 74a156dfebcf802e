"""Masks go to another program, are mended there, and come back: by name, pixel by pixel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhr.data import read_mask
from dhr.data.geojson import rings
from dhr.errors import DataError
from dhr.export.geojson import outline
from dhr.imports import SOURCES

LOSSLESS = {"png": "png", "labels": "png", "fiftyone": "png", "geojson": "geojson"}
"""Formats that hold void, and the format that reads them."""
SHAPES = {"coco": "coco", "lightly": "coco", "cvat": "cvat", "labelstudio": "labelstudio"}
"""Formats without void where there is no background."""


def test_each_source_has_a_round_trip() -> None:
    assert {*LOSSLESS.values(), *SHAPES.values()} == set(SOURCES)


def as_if_mended(file: Path, to: str, labelled: Any, names: list[str]) -> Path:
    """The file that the program would write if a person had drawn all of it."""
    if to == "labelstudio":
        return labelled(file, {name: lambda regions: regions for name in names})
    if to == "cvat":
        path = file / "annotations.xml"
        path.write_text(path.read_text(encoding="utf-8").replace('source="auto"', 'source="manual"'), encoding="utf-8")
    return file / "labels" if to == "fiftyone" else file


@pytest.mark.parametrize("to", [*LOSSLESS, *SHAPES])
@pytest.mark.parametrize("background", [True, False])
def test_masks_come_back_pixel_by_pixel(to: str, background: bool, request: Any, blobs: Any, labelled: Any) -> None:
    case = request.getfixturevalue("run" if background else "plain")
    ids = list(range(len(case.names)))
    drawn = {name: blobs(9 + number, one.shape, ids) for number, (name, one) in enumerate(case.masks.items())}
    if to in LOSSLESS or (background and to in ("coco", "lightly")):
        for one in drawn.values():
            one[:3, :4] = 255
    file = as_if_mended(case.export(to, drawn), to, labelled, list(drawn))
    found = case.take(file, (LOSSLESS | SHAPES)[to])
    assert found.left_out == () and case.states() == dict.fromkeys(sorted(drawn), "mended")
    assert not any("void" in note for note in found.notes)  # nothing becomes void
    for name, one in drawn.items():
        record = case.corrections.read(name)
        assert (case.corrections.mask(name) == one).all()
        assert (read_mask(case.out / "masks" / f"{name}.png") == one).all()  # training and export see it
        assert (read_mask(case.corrections.machine(name)) == case.masks[name]).all()
        assert record.source == f"import:{(LOSSLESS | SHAPES)[to]}"
        assert set(record.tags) == {case.names[label] for label in np.unique(one) if label != 255} - {"background"}
        row = next(row for row in found.rows() if row["name"] == name)
        assert row["pixels"] == (one != case.masks[name]).sum()
    again = case.take(file, (LOSSLESS | SHAPES)[to])
    assert again.counts["there"] == len(drawn) and again.taken == () and again.complete


@pytest.mark.parametrize("to", [*LOSSLESS, *SHAPES])
def test_an_export_that_nobody_touched_is_no_correction(to: str, run: Any) -> None:
    file = run.export(to)
    with pytest.raises(DataError, match=r"nothing was imported: 3 (photographs that nobody|masks equal)") as error:
        run.take(file / "labels" if to == "fiftyone" else file, (LOSSLESS | SHAPES)[to])
    assert len(str(error.value).splitlines()) == 1
    assert run.states() == {} and not (run.out / "corrections").exists()


@pytest.mark.parametrize("to", ["png", "coco", "geojson"])
def test_equal_masks_are_accepted_if_asked(to: str, run: Any) -> None:
    found = run.take(run.export(to), to, accept=True)
    assert found.counts["accepted"] == 3 and run.states() == dict.fromkeys(("a", "trip/C", "trip/b"), "accepted")
    assert [row["pixels"] for row in found.rows()] == [0, 0, 0]
    for name, one in run.masks.items():
        assert (run.corrections.mask(name) == one).all()


def test_label_studio_as_people_use_it(run: Any, labelled: Any) -> None:
    """One is submitted as it is, one is mended with brush and polygon, one was only looked at."""
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    wanted = run.masks["trip/b"].copy()
    wanted[wanted == 1] = 0
    wanted[2:9, 3:20] = 2

    def mend(regions: list[Any]) -> list[Any]:
        height, width = wanted.shape
        kept = [one for one in regions if one["value"]["brushlabels"] == [run.names[3]]]
        dogs = {**regions[0], "id": "x", "origin": "manual"}
        layer = (run.masks["trip/b"] == 2) * np.uint8(255)
        dogs["value"] = {"format": "rle", "rle": brush.mask2rle(layer), "brushlabels": ["Dog"]}
        corners = [[3, 2], [20, 2], [20, 9], [3, 9]]
        points = [[100 * x / width, 100 * y / height] for x, y in corners]
        box = {**regions[0], "id": "y", "type": "polygonlabels", "value": {"points": points, "polygonlabels": ["Dog"]}}
        return [*kept, dogs, box]

    wanted[run.masks["trip/b"] == 3] = 3  # a smaller region lies on a larger one
    file = labelled(run.export("labelstudio"), {"a": lambda regions: regions, "trip/b": mend}, "1a2b3c4d-")
    found = run.take(file, "labelstudio")
    assert run.states() == {"a": "accepted", "trip/b": "mended"}
    assert found.counts["untouched"] == 1 and any("nobody has annotated" in note for note in found.notes)
    assert (run.corrections.mask("trip/b") != wanted).mean() < 0.02  # which region is the smaller may differ
    assert "cat" not in run.corrections.read("trip/b").tags and "cat" in run.corrections.read("trip/b").given


def test_label_studio_without_a_decision(run: Any, labelled: Any) -> None:
    file = labelled(run.export("labelstudio"), {"a": lambda regions: []})
    tasks = json.loads(file.read_text())
    tasks[1] |= {"drafts": [{"id": 1, "result": tasks[1]["predictions"][0]["result"]}], "predictions": []}
    tasks[2]["annotations"] = [{"id": 9, "was_cancelled": True, "result": []}]
    file.write_text(json.dumps(tasks))
    found = run.take(file, "labelstudio")
    assert run.states() == {"a": "mended"} and not run.corrections.mask("a").any()  # submitted without a region
    assert [one.source for one in found.left_out] == ["trip/C"] and "submit the draft" in found.left_out[0].reason
    assert found.counts["untouched"] == 1


def test_annotators_that_differ_are_not_guessed(run: Any, labelled: Any) -> None:
    file = labelled(run.export("labelstudio"), {"a": lambda regions: regions, "trip/b": lambda regions: regions})
    tasks = json.loads(file.read_text())
    for task in tasks[:1] + tasks[2:]:
        task["annotations"] = [{"id": 1, "result": task["predictions"][0]["result"]}, {"id": 2, "result": []}]
    tasks[2]["annotations"][1]["ground_truth"] = True
    file.write_text(json.dumps(tasks))
    found = run.take(file, "labelstudio")
    assert [one.source for one in found.left_out] == ["a"] and "2 annotations of it differ" in found.left_out[0].reason
    assert not run.corrections.mask("trip/b").any()  # the marked one


def cvat(run: Any, change: Callable[[ElementTree.Element], None]) -> Path:
    """CVAT's export after a person has worked on it."""
    path: Path = run.export("cvat") / "annotations.xml"
    tree = ElementTree.parse(path)
    for one in tree.getroot().iter("mask"):
        one.set("source", "file")  # so does CVAT when it takes the file
    change(tree.getroot())
    tree.write(path, encoding="utf-8")
    return path


def image(root: ElementTree.Element, name: str) -> ElementTree.Element:
    return next(one for one in root.iter("image") if one.get("name") == f"{name}.png")


def test_cvat_as_people_use_it(run: Any) -> None:
    """One shape is changed, one is deleted, one photograph is not touched; labels are in another order."""

    def change(root: ElementTree.Element) -> None:
        labels = root.find("meta/task/labels")
        labels[:] = labels[::-1]
        first = image(root, "a")
        first[0].set("source", "manual")
        runs = [int(one) for one in first[0].get("rle").split(",")]
        first[0].set("rle", f"{sum(runs)}")  # all of it is erased
        ElementTree.SubElement(
            first, "polygon", label="Dog", source="manual", occluded="0", points="2.0,1.0;9.0,1.0;9.0,7.0;2.0,7.0",
            z_order="1",
        )  # fmt: skip
        second = image(root, "trip/b")
        second.remove(second[0])
        second.set("name", "TRIP/B.PNG")

    found = run.take(cvat(run, change), "cvat")
    assert run.states() == {"a": "mended", "trip/b": "mended"} and found.left_out == ()
    wanted = np.where(run.masks["a"] == 1, 0, run.masks["a"])
    wanted[1:7, 2:9] = 2
    assert (run.corrections.mask("a") == wanted).all()
    assert (run.corrections.mask("trip/b") == np.where(run.masks["trip/b"] == 1, 0, run.masks["trip/b"])).all()
    assert found.counts["untouched"] == 1


def test_cvat_of_an_older_mask_is_no_correction(run: Any) -> None:
    """Nobody changed a shape, but the run has made other masks since."""
    file = run.export("cvat", {name: np.roll(one, 2) for name, one in run.masks.items()})
    found = run.take(file, "cvat")
    assert run.states() == {} and len(found.left_out) == 3
    assert all("nobody changed its shapes" in one.reason for one in found.left_out)


def test_cvat_without_small_parts_is_not_taken_for_mended(run: Any) -> None:
    """Exports can leave out small parts: only a class that is gone as a whole, and is not the smallest, was deleted."""
    pytest.importorskip("cv2")
    with pytest.raises(DataError, match="nobody has annotated or changed"):
        run.take(run.export("cvat", instances=True), "cvat")
    file = run.export("cvat", instances=True, min_area=4)
    found = run.take(file, "cvat")
    assert run.states() == {} and {one.reason.partition(":")[0] for one in found.left_out} == {
        "nobody changed its shapes, but small ones of the run's mask are missing"
    }
    assert run.take(file, "cvat", accept=True).counts["mended"] == len(found.left_out)


def test_corrections_go_out_and_come_back(run: Any) -> None:
    """What a person mended is exported like any mask; it is there already, and can be mended again."""
    drawn = {"a": np.roll(run.masks["a"], 2), "trip/b": np.roll(run.masks["trip/b"], 5)}
    drawn["a"][:4, :4] = 255  # which CVAT cannot hold
    run.take(run.export("png", drawn), "png")

    def change(root: ElementTree.Element) -> None:
        second = image(root, "trip/b")
        second.remove(second[0])

    file = cvat(run, change)
    found = run.take(file, "cvat")
    assert (found.counts["there"], found.counts["untouched"]) == (1, 1)
    (one,) = found.left_out
    assert one.source == "trip/b" and "--replace" in one.reason
    assert run.take(file, "cvat", replace=True).counts["mended"] == 1
    assert (run.corrections.mask("a") == drawn["a"]).all()
    assert (run.corrections.mask("trip/b") == np.where(drawn["trip/b"] == 1, 0, drawn["trip/b"])).all()


def test_cvat_images_without_shapes_are_untouched(run: Any) -> None:
    def change(root: ElementTree.Element) -> None:
        for name in ("a", "trip/C"):
            image(root, name)[:] = []
        for one in image(root, "trip/b"):
            one.set("source", "manual")

    found = run.take(cvat(run, change), "cvat")
    assert run.states() == {"trip/b": "accepted"} and found.counts["untouched"] == 2


def test_coco_with_other_ids_and_its_void(run: Any) -> None:
    wanted = {name: np.roll(one, 3, axis=1) for name, one in run.masks.items()}
    wanted["a"][:5, :5] = 255
    file = run.export("coco", wanted)
    content = json.loads(file.read_text())
    for one in content["categories"]:
        one["id"] = 50 - one["id"]
    content["categories"].reverse()
    for one in content["annotations"]:
        one["category_id"] = 50 - one["category_id"]
    other = {"a.png": "/home/me/A.PNG", "trip/b.png": "b.png", "trip/C.png": "TRIP\\c.png"}
    for one in content["images"]:
        one["file_name"] = other[one["file_name"]]
    file.write_text(json.dumps(content))
    run.take(file, "coco")
    assert all((run.corrections.mask(name) == one).all() for name, one in wanted.items())


def test_void_of_the_machine_stays_where_a_format_cannot_hold_it(run: Any, labelled: Any) -> None:
    run.masks["a"][:4, :4] = 255
    run.write()
    wanted = run.masks["a"].copy()
    wanted[6:9, 6:9] = 2
    file = labelled(run.export("labelstudio", run.masks | {"a": wanted}), {"a": lambda regions: regions})
    run.take(file, "labelstudio")
    assert (run.corrections.mask("a") == wanted).all()


def test_without_a_background_the_rest_is_as_the_machine_has_it(plain: Any) -> None:
    content = {"type": "FeatureCollection", "features": [_feature("sea", [[2, 3], [2, 9], [7, 9], [7, 3]])]}
    file = plain.root / "a.png.geojson"
    file.write_text(json.dumps(content))
    plain.take(file, "geojson")
    wanted = plain.masks["a"].copy()
    wanted[3:9, 2:7] = 1
    assert (plain.corrections.mask("a") == wanted).all()


def _feature(name: str | None, corners: list[Any], kind: str = "Polygon") -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": [[*corners, corners[0]]] if kind == "Polygon" else corners}
    properties = {"objectType": "annotation"} | ({"classification": {"name": name}} if name else {})
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_outlines_are_painted_as_they_were_traced(height: int, width: int, data: Any) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width).filter(any))
    mask = np.array(bits).reshape(height, width)
    patch = rings(json.loads(json.dumps(outline(mask)))).patch((height, width), (height, width))
    found = np.zeros_like(mask)
    found[patch.top : patch.top + patch.mask.shape[0], patch.left : patch.left + patch.mask.shape[1]] = patch.mask
    assert (found == mask).all()
