"""`wss.kind files` with the objects of other programs: the source, its check, and a whole run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dhr.data import FolderDataSet, write_mask
from dhr.data.samples import ClassTable, Sample
from dhr.errors import ConfigError, DataError
from dhr.job.settings import RunConfig
from dhr.models.config import WssConfig
from dhr.progress import silent
from dhr.sources import Given, MapSource, build_source

from ..conftest import Case, strict_json

CLASSES = ClassTable(("background", "cat", "plant", "cow"), True)
SIZES = {"one": (40, 60), "two": (40, 60), "three": (20, 30)}
SAMPLES = [Sample(name, f"{name}.jpg", (1, 2), False) for name in SIZES]


def write(folder: Path, name: str, *objects: tuple[str, list[int], float]) -> None:
    """Write a file of Grounded-SAM-2."""
    folder.mkdir(exist_ok=True)
    entries = [{"class_name": label, "bbox": corners, "score": score} for label, corners, score in objects]
    (folder / f"{name}.json").write_text(json.dumps({"annotations": entries, "box_format": "xyxy"}), encoding="utf-8")


def source(folder: Path, **more: Any) -> MapSource:
    wss = WssConfig(kind="files", maps=folder, backbone="none", **more)
    return build_source(Given(RunConfig(wss=wss), CLASSES, torch.device("cpu")))


def test_maps_are_the_scores_of_the_tags(tmp_path: Path) -> None:
    write(
        tmp_path / "maps",
        "one",
        ("cat", [0, 0, 30, 40], 0.5),
        ("flower", [30, 20, 60, 40], 0.25),
        ("cow", [0, 0, 9, 9], 1.0),
    )
    made = source(tmp_path / "maps", words={"plant": "flower"})
    checked = made.check(SAMPLES[:1], SIZES, silent)
    assert checked.samples == tuple(SAMPLES[:1]) and not checked.problems and not checked.notes
    seen = made.see(torch.rand(1, 3, 80, 120), SAMPLES[:1], (4, 6))  # the working image may have another size
    expected = torch.zeros(1, 2, 4, 6)
    expected[0, 0, :, :3], expected[0, 1, 2:, 3:] = 0.5, 0.25
    # Averaged over cells, so only edges differ.
    assert seen.cams.shape == expected.shape and (seen.cams - expected).abs().mean() < 0.06
    assert seen.cams[0, 0, :, 0].tolist() == pytest.approx([0.5] * 4)
    assert float(seen.cams[0, 1, 3, 5]) == pytest.approx(0.25)
    assert seen.features is None
    only = made.see(torch.rand(1, 3, 80, 120), [Sample("one", "one.jpg", (3,), False)], (4, 6))
    assert float(only.cams.max()) > 0.6  # classes that are not tags may be asked for


def test_every_photograph_is_checked_first(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    write(folder, "one", ("cat", [0, 0, 30, 40], 0.5), ("glass oil", [0, 0, 5, 5], 0.5), ("a glass", [0, 0, 5, 5], 0.5))
    write(folder, "two")
    write(folder, "three", ("cat", [0, 0, 300, 20], 0.5))
    write(folder, "four", ("cat", [0, 0, 30, 20], 0.5))
    checked = source(folder).check(SAMPLES, SIZES, silent)
    assert [sample.name for sample in checked.samples] == ["one", "two"]
    assert len(checked.problems) == 1 and "leaves the picture of 30x20 pixels" in checked.problems[0].reason
    notes = "\n".join(checked.notes)
    assert "2 objects with labels that are no class are ignored: 'glass oil' (1), 'a glass' (1)" in notes
    assert "1 photograph without an object of some of the tags: one.jpg (plant)." in notes
    assert "1 photograph without an object of any tag, where features alone decide: two.jpg." in notes
    assert "1 entry of objects without a photograph in this run: 'four'." in notes


def test_files_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    write(folder, "one", ("chat", [0, 0, 30, 40], 0.5))
    write(folder, "two", ("vache", [0, 0, 30, 40], 0.5))
    with pytest.raises(DataError, match=r"no object has the name of a tag.*'chat', 'vache'.*--wss.words") as caught:
        source(folder).check(SAMPLES[:2], SIZES, silent)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="the objects of no photograph can be used"):
        source(folder).check(SAMPLES[2:], SIZES, silent)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no file of maps"):
        source(tmp_path / "empty")


def boxes_of(data: Path, folder: Path) -> None:
    """Write the box of each class in the ground truth, as Grounded-SAM-2 would."""
    scenes = FolderDataSet(data)
    for sample in scenes.samples:
        truth, entries = scenes.read_ground_truth(sample), []
        for label in sample.tags:
            rows, columns = (truth == label).any(1).nonzero()[0], (truth == label).any(0).nonzero()[0]
            if len(rows):
                corners = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
                entries.append((f"a {scenes.classes.names[label]}", corners, 0.9))
        (folder / sample.name).parent.mkdir(parents=True, exist_ok=True)
        write(folder, sample.name, *entries)


def test_a_run_makes_masks_of_boxes(fresh: Case, dhr: Any, tmp_path: Path) -> None:
    boxes_of(fresh.data, tmp_path / "boxes")
    arguments = fresh.run("--wss.kind", "files", "--wss.backbone", "none", "--wss.maps", str(tmp_path / "boxes"))
    ended = dhr(arguments)
    assert ended.code == 0, ended
    assert dhr(fresh.evaluate("--json", str(tmp_path / "scores.json"))).code == 0
    assert strict_json(tmp_path / "scores.json")["stages"]["cam"]["miou"] > 50
    # A photograph in which nothing was found still gets a mask.
    first, *_ = sorted((tmp_path / "boxes").glob("*.json"))
    first.write_text("[]")
    ended = dhr(arguments)
    assert ended.code == 2 and "maps" in ended.err  # the files changed
    fresh = Case(fresh.data, tmp_path / "other")
    ended = dhr(fresh.run("--wss.kind", "files", "--wss.backbone", "none", "--wss.maps", str(tmp_path / "boxes")))
    assert ended.code == 0 and "without an object of any tag" in " ".join(ended.out.split()), ended
    assert len([*(fresh.out / "masks").rglob("*.png")]) == 5


def test_masks_with_a_class_table_of_their_own_are_matched_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 30:], labels[:, 50:] = 2, 3
    write_mask(folder / "one.png", labels)
    tags = [Sample("one", "one.jpg", (1, 2), False)]
    # Without a table, numbers are those of the data set: 1 is missing, and 3 is the cow.
    with pytest.raises(DataError, match=r"lack a class.*no pixel of 'cat'"):
        source(folder).check(tags, SIZES, silent)
    # Programs with one number less or more have their own table.
    (folder / "classes.txt").write_text("background\ncow\nplant\ncat\n")
    made = source(folder)
    checked = made.check(tags, SIZES, silent)
    assert "matched with the data set's by name" in checked.notes[0] and len(checked.notes) == 1
    cams = made.see(torch.rand(1, 3, 40, 60), tags, (40, 60)).cams[0]
    assert (cams[0] > 0.5).nonzero()[:, 1].unique().tolist() == [*range(50, 60)]
    assert (cams[1] > 0.5).nonzero()[:, 1].unique().tolist() == [*range(30, 50)]
    (folder / "classes.txt").write_text("background\nowl\nplant\ncat\nbus\n")
    assert "does not have these classes" in source(folder).check(tags, SIZES, silent).notes[1]


def test_a_mask_without_its_tags_is_an_answer(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    write_mask(folder / "one.png", np.full((40, 60), 3, np.uint8))
    write_mask(folder / "two.png", np.repeat(np.array([[1, 2]], np.uint8), 30, axis=1).repeat(40, axis=0))
    checked = source(folder).check(SAMPLES[:2], SIZES, silent)
    assert len(checked.samples) == 2 and not checked.problems
    assert "1 photographs have no pixel of a class that they are tagged with: one.jpg (cat, plant)." in checked.notes
    # Maps without values are damaged, and are left out as before.
    np.save(folder / "three.npy", np.zeros((2, 20, 30), np.float32))
    checked = source(folder).check(SAMPLES, SIZES, silent)
    assert [one.source for one in checked.problems] == ["three.jpg"]
