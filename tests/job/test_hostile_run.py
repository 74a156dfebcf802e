"""Folders of runs that somebody sent: every file in them may be damaged, a pipe, or a link that leads elsewhere."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from dhr.data.json_text import parse_json
from dhr.data.samples import Sample
from dhr.errors import ItemError, OutputError, PlaceError
from dhr.files import write_json
from dhr.job.folder import OutputFolder
from dhr.job.scan import Scan, scan
from dhr.job.settings import RunConfig
from dhr.job.survey import read_cells
from dhr.job.survey_file import read_survey, survey_content
from dhr.method.swaps import Swap
from dhr.progress import silent
from dhr.records.item import ItemRecord
from dhr.records.run import RunRecord

RECORD = {
    "digest": "0" * 64,
    "image": "a.jpg",
    "tags": ["cat"],
    "width": 4,
    "height": 3,
    "quality": 0.5,
    "moved": 0.0,
    "ratios": {"cat": 0.25},
    "vanished": [],
    "seconds": 0.1,
}
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.sampled_from(["", "cat", "\n", "9" * 401]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["cat", "wss", "name"]), inner),
    max_leaves=4,
)


def one_line(error: pytest.ExceptionInfo[Any], *words: str) -> None:
    text = str(error.value)
    assert len(text.splitlines()) == 1 and all(word in text for word in words), text


# --- records ---------------------------------------------------------------------------------------------------------


def test_a_record_comes_back() -> None:
    found = ItemRecord.parse(RECORD)
    assert (found.tags, found.width, found.height, found.vanished) == (("cat",), 4, 3, ())
    assert found.ratios == {"cat": 0.25}


@pytest.mark.parametrize("name", ["tags", "width", "height", "ratios", "vanished"])
@pytest.mark.parametrize("value", [None, True, "x", -1, 10**401, float("inf"), [1], {"cat": 2}, {"cat": "x"}])
def test_a_record_with_a_member_of_another_kind_is_none(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        ItemRecord.parse({**RECORD, name: value})


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["identity", "stages", "status", "settings", "seconds"]), ANYTHING))
def test_any_record_of_a_run_is_taken_or_refused(value: dict[str, Any]) -> None:
    try:
        found = RunRecord.parse(value)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
        return
    before = found.identity.settings
    for part in ("wss", "uss"):  # as RunConfig.identity reads them
        weights = before.get(part, {}).get("weights")
        assert weights is None or isinstance(weights, str)
    assert all(isinstance(row.name, str) for row in found.stages)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"identity": 3}',
        '{"identity": {"settings": 3}}',
        '{"identity": {"settings": {"wss": "x"}}}',
        '{"identity": {"settings": {"classifier": {"file": 5}}}}',
        '{"identity": {}, "stages": [{"name": "masks", "seconds": 1' + "0" * 400 + "}]}",
        '{"identity": {}, "stages": [{"name": "masks", "seconds": -1}]}',
        '{"identity": {}, "stages": [3]}',
        "\xff",
    ],
)
def test_a_damaged_run_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError) as error:
        OutputFolder(tmp_path).read()
    one_line(error, "run.json cannot be read", "choose another --out")


class Photographs:
    """Counts what is read."""

    def __init__(self, names: list[str]) -> None:
        self.samples = tuple(Sample(name, f"{name}.jpg", (1,), False) for name in names)
        self.classes = SimpleNamespace(names=("background", "cat"), background=True)
        self.problems, self.notes, self.read = (), (), 0

    def digest(self, sample: Sample) -> str:
        return sample.name

    def read_image(self, sample: Sample) -> np.ndarray:
        self.read += 1
        if sample.name == "broken":
            raise ItemError("it is broken")
        return np.zeros((3, 4, 3), np.uint8)


def _scanned(data: Any, folder: OutputFolder) -> Scan:
    found = scan(data, folder, silent)
    found.save(folder)
    return found


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, "[]", '{"a": 3}', '{"a": {"digest": 1, "reason": null}}', '{"a": {"digest": "a", "reason": [1]}}'],
)
def test_a_damaged_scan_is_made_again(text: str, tmp_path: Path, unchecked: None) -> None:
    folder, data = OutputFolder(tmp_path), Photographs(["a", "b", "broken"])
    first = _scanned(data, folder)
    assert [problem.reason for problem in first.problems] == ["it is broken"] and data.read == 3
    assert _scanned(data, folder).digest == first.digest and data.read == 3  # type: ignore[arg-type]
    folder.scan.write_text(text)
    again = _scanned(data, folder)  # type: ignore[arg-type]
    assert (again.digest, again.problems) == (first.digest, first.problems) and data.read == 6


# --- surveys ---------------------------------------------------------------------------------------------------------

SURVEY = {
    "weights": torch.ones(3, 5),
    "bias": torch.zeros(3),
    "known": torch.ones(3),
    "trust": torch.tensor(0.5, dtype=torch.float64),
    "agreement": torch.tensor([0.5, 0.25, 1.0], dtype=torch.float64),
    "swaps": torch.tensor([[0, 2, 39, 3]]),
    "evidence": torch.tensor([[-0.5, 0.25]], dtype=torch.float64),
}
CELLS = {
    "features": torch.ones(5, 7, dtype=torch.float16),
    "scores": torch.ones(2, 7, dtype=torch.float16),
    "ids": torch.tensor([0, 2]),
}


def test_a_survey_and_its_cells_come_back(tmp_path: Path) -> None:
    save_file(SURVEY, tmp_path / "survey")
    survey = read_survey(tmp_path / "survey", 3, 5)
    assert survey.trust == 0.5 and survey.swaps == (Swap(0, 2, -0.5, 0.25, joint=39, deciding=3),)
    (tmp_path / "again").write_bytes(survey_content(survey))
    assert read_survey(tmp_path / "again", 3, 5).swaps == survey.swaps
    (tmp_path / "without").write_bytes(survey_content(replace(survey, swaps=())))
    assert read_survey(tmp_path / "without", 3, 5).swaps == ()
    save_file(CELLS, tmp_path / "cells", {"dhr": "digest"})
    assert read_cells(tmp_path / "cells", 5, "another digest", [0, 2]) is None
    seen = read_cells(tmp_path / "cells", 5, "digest", [0, 2])
    assert seen is not None and torch.equal(seen.ids, CELLS["ids"])


@pytest.mark.parametrize(
    "change",
    [
        {"weights": torch.full((3, 5), float("nan"))},
        {"bias": torch.tensor([0.0, 1.0, float("inf")])},
        {"weights": torch.ones(4, 5)},
        {"weights": torch.ones(3, 6)},
        {"weights": torch.ones(3, 5, 1)},
        {"weights": torch.ones(3, 5).half()},
        {"known": torch.tensor([0.0, 1.0, 0.5])},
        {"known": torch.ones(2)},
        {"trust": torch.tensor(float("nan"), dtype=torch.float64)},
        {"trust": torch.tensor(1.5, dtype=torch.float64)},
        {"trust": torch.ones(2, dtype=torch.float64)},
        {"agreement": torch.ones(2, dtype=torch.float64)},
        {"agreement": torch.full((3,), 1.5, dtype=torch.float64)},
        {"agreement": torch.full((3,), float("nan"), dtype=torch.float64)},
        {"swaps": torch.tensor([[0, 3, 39, 3]])},
        {"swaps": torch.tensor([[0, 2, 39, -3]])},
        {"swaps": torch.tensor([[0, 2, 39, 3], [1, 2, 39, 3]])},
        {"swaps": torch.tensor([[0, 2, 39]])},
        {"evidence": torch.tensor([[float("nan"), 0.25]], dtype=torch.float64)},
        {"more": torch.ones(1)},
    ],
)
def test_a_survey_that_cannot_be_is_damaged(change: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file({**SURVEY, **change}, tmp_path / "survey")
    with pytest.raises(ValueError, match=r"\w") as error:
        read_survey(tmp_path / "survey", 3, 5)
    one_line(error)


@pytest.mark.parametrize(
    "change",
    [
        {"features": torch.full((5, 7), float("nan")).half()},
        {"features": torch.ones(5, 8).half()},
        {"features": torch.ones(4, 7).half()},
        {"scores": -torch.ones(2, 7).half()},
        {"scores": torch.ones(3, 7).half()},
        {"ids": torch.tensor([0, 3])},
        {"ids": torch.tensor([-1, 0])},
        {"ids": torch.tensor([0.0, 1.0])},
    ],
)
def test_cells_that_cannot_be_are_drawn_again(change: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file({**CELLS, **change}, tmp_path / "cells", {"dhr": "digest"})
    assert read_cells(tmp_path / "cells", 5, "digest", [0, 2]) is None


def test_a_survey_of_nan_makes_no_masks(finished: Any, dhr: Any) -> None:
    path = finished.out / "survey.safetensors"
    survey = load_file(path)
    survey["weights"] *= float("nan")
    save_file(survey, path)
    shutil.rmtree(finished.out / "items")
    shutil.rmtree(finished.out / "masks")
    ended = dhr(finished.run())
    assert ended.code == 2
    assert (
        "survey.safetensors is damaged (weights holds NaN or infinity); make it again with --redo survey" in ended.err
    )
    assert len(ended.err.splitlines()) == 1
    assert not list(finished.out.glob("masks/*.png"))


# --- pipes and links -------------------------------------------------------------------------------------------------


def test_a_pipe_in_the_place_of_a_lock_or_a_record(finished: Any, dhr: Any) -> None:
    lock = finished.out / "run.lock"
    lock.unlink()
    os.mkfifo(lock)
    ended = dhr(finished.run())
    assert ended.code == 2 and "a named pipe has this name, and is not replaced" in ended.err
    assert lock.is_fifo()
    lock.unlink()
    for name in ("run.json", "work/scan.json", "survey.safetensors", "classifier.safetensors"):
        case = finished.out / name
        content = case.read_bytes()
        case.unlink()
        os.mkfifo(case)
        ended = dhr(finished.run())  # it ends
        assert "Traceback" not in ended.err
        assert case.is_fifo()
        case.unlink()
        case.write_bytes(content)


@pytest.mark.parametrize("name", ["masks", "items", "work", "stages", "cams", "training", "first"])
def test_a_link_in_the_place_of_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "survey").mkdir(parents=True)
    (outside / "survey" / "precious").write_bytes(b"kept")
    root.mkdir()
    write_json(root / "run.json", {"identity": {}})
    (root / name).symlink_to(outside)
    folder = OutputFolder(root)
    with pytest.raises(PlaceError) as error:
        folder.lock()
    one_line(error, f"{name} is a link, which is not followed")
    calls: dict[str, Callable[[], object]] = {
        "masks": lambda: folder.mask("a"),
        "items": lambda: folder.item("a"),
        "work": folder.remove_partial,
        "stages": lambda: folder.stage("cam", "a"),
        "cams": lambda: folder.cams("a"),
        "training": lambda: folder.training,
        "first": lambda: folder.first,
    }
    with pytest.raises(PlaceError):
        calls[name]()
    assert (outside / "survey" / "precious").read_bytes() == b"kept"


def test_names_of_photographs_stay_inside(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    for name in ("../a", "a/../../b", "a\0b"):
        for place in (
            folder.mask,
            folder.item,
            folder.cams,
            folder.survey_cells,
            folder.features,
            folder.training_mask,
        ):
            with pytest.raises(OutputError, match="expected a path inside"):
                place(name)
    assert folder.mask("trip/a.b") == tmp_path / "masks" / "trip" / "a.b.png"


@pytest.mark.parametrize("recorded", [False, True])
def test_a_link_in_the_place_of_a_mask_is_no_mask(recorded: bool, finished: Any, dhr: Any, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"kept")
    mask = sorted((finished.out / "masks").rglob("*.png"))[0]
    item = finished.out / "items" / mask.relative_to(finished.out / "masks").with_suffix(".json")
    mask.unlink()
    if not recorded:
        item.unlink()
    mask.symlink_to(tmp_path / "precious")
    ended = dhr(finished.run())
    assert ended.code in (1, 2) and "Traceback" not in ended.err
    assert (tmp_path / "precious").read_bytes() == b"kept" and mask.is_symlink()


# --- the report and weights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"quality": 1' + b"0" * 400 + b"}", b"\xff", b"[]", b""])
def test_a_record_that_cannot_be_read_leaves_the_report(content: bytes, finished: Any, dhr: Any) -> None:
    items = sorted((finished.out / "items").rglob("*.json"))
    items[0].write_bytes(content)
    call = ["evaluate", "--data", finished.data, "--masks", finished.out / "masks", "--resamples", "0"]
    ended = dhr(call)
    assert ended.code == 0, ended.err
    assert (finished.out / "report.html").is_file() and "Traceback" not in ended.err
    (finished.out / "run.json").write_bytes(content)
    ended = dhr(call)
    assert ended.code in (0, 2) and len(ended.err.splitlines()) == (ended.code == 2)


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "folder"])
def test_weights_that_are_no_file_are_refused(place: str, tmp_path: Path) -> None:
    if place == "pipe":
        os.mkfifo(tmp_path / place)
    path = Path(place) if place.startswith("/") else tmp_path / place
    config = RunConfig(device="cpu")
    config = replace(
        config, wss=replace(config.wss, weights=str(path)), classifier=replace(config.classifier, file=path)
    )
    with pytest.raises(Exception, match="cannot read") as error:
        config.identity(torch.device("cpu"))
    one_line(error)


def test_json_of_ours_holds_no_surprise(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", RECORD)
    read = parse_json((tmp_path / "a.json").read_text())
    assert ItemRecord.parse(read) == ItemRecord.parse(json.loads(json.dumps(RECORD)))
