"""What cannot be imported is named and left out, and nothing of a person is overwritten."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import FolderDataSet, write_mask
from dhr.data.palette import class_palette
from dhr.errors import ConfigError, DataError, OutputError
from dhr.imports import SOURCES


def changed(run: Any) -> dict[str, np.ndarray]:
    return {name: np.roll(one, 2, axis=0) for name, one in run.masks.items()}


def command(run: Any, source: str, file: Path, *more: str) -> list[Any]:
    return ["import", file, "--run", run.out, "--from", source, *more]


def test_the_command_prints_a_table_and_names_what_it_left_out(run: Any, dhr: Any) -> None:
    drawn = changed(run)
    drawn["a"] = drawn["a"][:-1]
    file = run.root / "mended"
    for name, labels in drawn.items():
        write_mask(file / f"{name}.png", labels)
    write_mask(file / "stranger.png", labels)
    ended = dhr(command(run, "png", file))
    assert ended.code == 1 and ended.err == "" and "Left out: 2" in ended.out
    assert "expected a mask of 23x19 pixels" in ended.out and "stranger" in ended.out
    pixels = int((drawn["trip/b"] != run.masks["trip/b"]).sum())
    assert any(line.split()[:3] == ["│", "trip/b", "│"] and f" {pixels} " in line for line in ended.out.splitlines())
    assert f"2 mended, 0 accepted: {run.out / 'corrections'}" in ended.out.splitlines()[-1]
    again = dhr(command(run, "png", file))
    assert again.code == 1 and "0 mended, 0 accepted, 2 were there" in again.out


def test_masks_of_a_person_are_not_overwritten(run: Any, dhr: Any) -> None:
    first, second = changed(run), {name: np.roll(one, 5, axis=1) for name, one in run.masks.items()}
    run.take(run.export("png", first), "png")
    file = run.export("png", second)
    ended = dhr(command(run, "png", file))
    assert ended.code == 1 and "it is mended already, by a person; --replace" in ended.out
    assert all((run.corrections.mask(name) == one).all() for name, one in first.items())
    assert dhr(command(run, "png", file, "--replace")).code == 0
    for name, one in second.items():
        assert (run.corrections.mask(name) == one).all() and run.corrections.read(name).revision == 2
        assert (np.array(Image.open(run.corrections.machine(name))) == run.masks[name]).all()  # still the machine's


@pytest.mark.parametrize("state", ["rejected", "skipped"])
def test_other_decisions(state: Any, run: Any) -> None:
    from dhr.corrections import Correction

    decision = Correction(state, "0" * 64, ("cat",), ("cat",), {"cat": 1})
    run.corrections.save("a", decision, None, np.zeros((256, 3), np.uint8), expected=0)
    found = run.take(run.export("png", changed(run)), "png")
    assert run.states()["a"] == ("mended" if state == "skipped" else "rejected")
    assert len(found.left_out) == (state == "rejected")


def test_a_machines_mask_does_not_end_another_decision(run: Any) -> None:
    """What is said of it is true: the photograph is decided, not undecided."""
    file = run.export("png")
    run.take(run.export("png", changed(run)), "png")
    found = run.take(file, "png", replace=True)
    assert {one.source for one in found.left_out} == {*run.masks} and not found.notes
    assert all("it stays mended" in one.reason and "--accept" in one.reason for one in found.left_out)
    assert {*run.states().values()} == {"mended"}
    run.take(file, "png", replace=True, accept=True)
    assert {*run.states().values()} == {"accepted"}


def test_a_mask_that_another_program_changed_stays(run: Any) -> None:
    """It is a person's, although it is no correction yet."""
    write_mask(run.out / "masks" / "a.png", np.full_like(run.masks["a"], 2))
    before = (run.out / "masks" / "a.png").read_bytes()
    found = run.take(run.export("png", changed(run)), "png", replace=True)
    assert [one.source for one in found.left_out] == ["a"] and "another program changed" in found.left_out[0].reason
    assert (run.out / "masks" / "a.png").read_bytes() == before


def test_photographs_that_do_not_fit(run: Any) -> None:
    file = run.export("png", changed(run))
    (run.out / "masks" / "a.png").unlink()
    Image.new("RGB", (31, 12), "red").save(run.data / "images" / "trip" / "b.png")
    (run.out / "corrections" / "items" / "trip").mkdir(parents=True)
    (run.out / "corrections" / "items" / "trip" / "C.json").write_text("{")
    reasons = {one.source: one.reason for one in run.take(file, "png").left_out}
    assert "finish the run first" in reasons["a"] and "made of another photograph" in reasons["trip/b"]
    assert "is damaged" in reasons["trip/C"] and len(reasons) == 3


@pytest.mark.parametrize("to", ["cvat", "labelstudio", "coco", "geojson", "png"])
def test_classes_that_the_run_does_not_have_are_named(to: str, run: Any, labelled: Any, dhr: Any) -> None:
    wanted = {name: np.where(one == 1, 0, one) for name, one in run.masks.items()}
    wanted["a"][:2] = 1
    file = run.export(to, wanted)
    if to == "labelstudio":
        file = labelled(file, {name: lambda regions: regions for name in run.masks})
    for path in [file] if file.is_file() else [one for one in file.iterdir() if one.suffix != ".png" and one.is_file()]:
        text = path.read_text(encoding="utf-8").replace('source="auto"', 'source="manual"')
        path.write_text(re.sub(r'(?m)(?<=")cat(?=")|^cat$', "cta", text), encoding="utf-8")
    ended = dhr(command(run, to, file))
    assert ended.code == 1 and "cta" in ended.out and "Left out: 1" in ended.out
    if to != "png":
        assert "the run has no class 'cta'; did you mean 'cat'?" in ended.out
    assert set(run.states()) == {"trip/b", "trip/C"} and ended.err == ""


def test_pictures_of_other_programs(run: Any) -> None:
    """RGB by palette, grey, 16 bits, a sorted palette; TIFF of 8, 16 and 32 bits, of RGB, and two pictures in one."""
    run.masks = {"a": np.where(run.masks["a"] == 2, 3, run.masks["a"])}  # tags tell palettes apart
    file, drawn = run.root / "pictures", changed(run)
    file.mkdir()
    colours = class_palette(FolderDataSet(run.data).classes)
    makers = {
        "rgb.png": lambda one: Image.fromarray(colours[one]),
        "grey.png": Image.fromarray,
        "wide.png": lambda one: Image.fromarray(one.astype(np.uint16)),
        "sorted.png": lambda one: Image.fromarray(colours[one]).quantize(16),
        "8.tif": Image.fromarray,
        "16.TIFF": lambda one: Image.fromarray(one.astype(np.uint16)),
        "32.tif": lambda one: Image.fromarray(one.astype(np.int32)),
        "rgb.tif": lambda one: Image.fromarray(colours[one]),
    }
    for number, (kind, make) in enumerate(makers.items()):
        shutil.rmtree(run.out / "corrections", ignore_errors=True)
        run.write()
        wanted = {name: np.roll(one, number, axis=1) for name, one in drawn.items()}
        for path in file.rglob("*.*"):
            path.unlink()
        for name, one in wanted.items():
            make(one).save(file / f"{name}.{kind.partition('.')[2]}")
        found = run.take(file, "png")
        assert found.left_out == (), kind
        assert all((run.corrections.mask(name) == one).all() for name, one in wanted.items()), kind


def test_tiffs_that_are_no_masks(run: Any) -> None:
    file, drawn = run.root / "pictures", changed(run)["a"]
    file.mkdir()
    for make, word in (
        (lambda path: Image.fromarray(drawn.astype(np.float32)).save(path), "whole numbers"),
        (lambda path: Image.fromarray(drawn.astype(np.int32) - 9).save(path), "got -9"),
        (lambda path: Image.fromarray(drawn[1:]).save(path), "expected a mask of 23x19"),
        (lambda path: path.write_bytes(b"II*\\0" + bytes(60)), "a.tif"),
        (lambda path: path.write_bytes(b""), "empty"),
        (
            lambda path: Image.fromarray(drawn).save(path, save_all=True, append_images=[Image.fromarray(drawn)]),
            "expected one picture, got several",
        ),
        (lambda path: Image.fromarray(drawn + np.uint8(40)).save(path), "class ids"),
    ):
        make(file / "a.tif")
        (one,) = run.take(file, "png").left_out
        assert one.source == "a" and word in one.reason and len(one.reason.splitlines()) == 1, word
    assert run.states() == {}


def test_a_class_table_beside_the_masks_is_matched_by_name(run: Any) -> None:
    drawn = changed(run)
    order = np.array([2, 0, 1, 3])
    file = run.root / "mended"
    for name, one in drawn.items():
        write_mask(file / f"{name}.png", order[one].astype(np.uint8))
    names = [run.names[one] for one in np.argsort(order)]
    (file / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    with pytest.raises(DataError, match="must be the first line"):
        run.take(file, "png")
    order = np.array([0, 3, 1, 2])
    for name, one in drawn.items():
        write_mask(file / f"{name}.png", order[one].astype(np.uint8))
    (file / "classes.txt").write_text("\n".join(["_background_", "dog", "猫 & <b>", "CAT"]), encoding="utf-8")
    run.take(file, "png")
    assert all((run.corrections.mask(name) == one).all() for name, one in drawn.items())


def test_masks_of_another_numbering_are_refused_as_a_whole(run: Any) -> None:
    file = run.root / "mended"
    for name, one in run.masks.items():
        write_mask(file / f"{name}.png", np.where(one > 0, 255, 0).astype(np.uint8))
    with pytest.raises(DataError, match="no pixel of any tag"):
        run.take(file, "png")
    assert run.states() == {}


def test_geojson_that_cannot_be_used(run: Any) -> None:
    folder = run.root / "outlines"
    folder.mkdir()

    def write(*features: Any) -> None:
        (folder / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    def feature(kind: str, corners: Any, name: str | None = "Dog") -> dict[str, Any]:
        label = {"classification": {"name": name}} if name else {}
        return {"type": "Feature", "geometry": {"type": kind, "coordinates": corners}, "properties": label}

    square = [[[1, 1], [5, 1], [5, 5], [1, 5], [1, 1]]]
    for bad, word in (
        (feature("Point", [1, 2]), "not its outline"),
        (feature("Polygon", square, None), "has no class"),
        (feature("Polygon", [[[1, 1], [2]]]), "is damaged"),
        (feature("Polygon", [[[1, 1], [2, 2]]]), "is damaged"),
        (feature("Polygon", []), "is damaged"),
        (feature("Polygon", [[[1, 1], [500, 1], [500, 500], [1, 500]]]), "over the edge of 23x19"),
        (feature("Polygon", [[[1, 1], [float("1e300"), 1], [5, 5], [1, 5]]]), "is damaged"),
    ):
        write(feature("Polygon", square), bad)
        (one,) = run.take(folder, "geojson").left_out
        assert one.source == "a" and word in one.reason, word
    for text in ("[", '{"type": "Topology"}', "3", '{"type": "FeatureCollection", "features": [4]}'):
        (folder / "a.geojson").write_text(text)
        with pytest.raises(DataError) as error:
            run.take(folder, "geojson")
        assert len(str(error.value).splitlines()) == 1
    assert run.states() == {}
    run.export("geojson", changed(run)).joinpath("trip/b.geojson").rename(folder / "b.geojson")
    (one,) = run.take(folder, "geojson").left_out  # the others are taken
    assert one.source == "a.geojson" and run.states() == {"trip/b": "mended"}


def test_pictures_of_another_size_are_refused(run: Any, labelled: Any) -> None:
    file = labelled(run.export("labelstudio"), {"a": lambda regions: regions})
    text = file.read_text().replace('"original_width": 23', '"original_width": 46')
    file.write_text(text.replace('"original_height": 19', '"original_height": 38'))
    (one,) = run.take(file, "labelstudio").left_out
    assert one.source == "a" and "46x38 pixels" in one.reason and "has 23x19" in one.reason


def test_calls_that_cannot_work_are_one_line(run: Any, dhr: Any) -> None:
    for source in SOURCES:
        with pytest.raises(DataError, match="nowhere"):
            run.take(run.root / "nowhere", source)
    (run.root / "task.zip").write_bytes(b"PK")
    for source in ("cvat", "labelstudio", "png"):
        with pytest.raises(DataError, match="unpack"):
            run.take(run.root / "task.zip", source)
    with pytest.raises(ConfigError, match="--from must be one of"):
        run.take(run.root, "tiff")
    with pytest.raises(OutputError, match=r"no run\.json"):
        replace(run, root=run.root / "other").take(run.root, "png")
    ended = dhr(["import", run.root, "--run", run.out, "--from", "geojsn"])
    assert ended.code == 2 and ended.err.count("\n") == 1 and "did you mean geojson?" in ended.err
    for source in ("cvat", "labelstudio", "coco"):
        with pytest.raises(DataError) as error:
            run.take(run.out / "run.json", source)
        assert len(str(error.value).splitlines()) == 1


def test_tags_follow_what_a_person_drew(run: Any) -> None:
    """A new class is added; a class that the person took out goes; one that the machine had lost stays."""
    run.masks["a"] = np.where(run.masks["a"] == 3, 1, run.masks["a"])  # the machine lost class 3
    run.write()
    (run.data / "tags.csv").write_text(f"image,tags\na.png,cat;{run.names[3]}\ntrip/b.png,cat\ntrip/C.png,cat\n")
    drawn = np.where(run.masks["a"] == 1, 0, run.masks["a"])
    drawn[:3] = 2
    file = run.root / "mended"
    write_mask(file / "a.png", drawn)
    (file / "classes.txt").write_text("\n".join(run.names), encoding="utf-8")
    run.take(file, "png")
    record = run.corrections.read("a")
    assert set(record.tags) == {"Dog", run.names[3]} and set(record.given) == {"cat", run.names[3]}
    drawn[run.masks["a"] == 1] = 255  # not taken out: nobody knows
    write_mask(file / "a.png", drawn)
    run.take(file, "png", replace=True)
    assert set(run.corrections.read("a").tags) == {"cat", "Dog", run.names[3]}


@pytest.mark.parametrize("to", ["cvat", "labelstudio", "coco", "geojson", "png", "labels"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on TIFFs with damaged tags
def test_damaged_files_end_in_one_line(to: str, run: Any, labelled: Any) -> None:
    """Bytes are changed, inserted, removed; nothing but an error of dhr's own comes of it."""
    file = run.export(to, changed(run))
    if to == "labelstudio":
        file = labelled(file, {name: lambda regions: regions for name in run.masks})
    random = np.random.default_rng(len(to))
    words = (b"null", b"1e999", b"-1", b"[]", b'""', b"99999999999", b"\xff\xfe", b"}", b"NaN")
    paths = [path for path in file.rglob("*") if path.suffix not in (".jsonl", ".txt") and path.is_file()] or [file]
    for number in range(5):
        path = paths[number % len(paths)]
        whole = path.read_bytes()
        at = int(random.integers(len(whole)))
        change = (whole[at : at + 1], words[number % len(words)], b"", bytes([at % 256]))[number % 4]
        path.write_bytes(whole[:at] + change + whole[at + int(random.integers(20)) :])
        try:
            problems = run.take(file, "png" if to == "labels" else to, replace=True).left_out
            assert all(len(one.reason.splitlines()) == 1 for one in problems)
        except DataError as error:
            assert len(str(error).splitlines()) == 1
        path.write_bytes(whole)
