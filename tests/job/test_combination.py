"""Runs with several map sources: settings, the stage of the calibration, and what becomes of it."""

import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dhr.api.settings import run_settings
from dhr.data import FolderDataSet
from dhr.errors import ConfigError
from dhr.job import calibration as module
from dhr.job.estimate import drawn
from dhr.job.fingerprint import some_sizes
from dhr.job.plan import LIMITS
from dhr.job.run import run
from dhr.job.settings import RunConfig
from dhr.models.config import WssConfig

WordModel = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "word_model.py"))["WordModel"]
COUNT = 6


def write_maps(data: Path, folder: Path) -> Path:
    """Write the maps of the made word model, of all classes, as files."""
    found = FolderDataSet(data)
    words = WordModel(found.classes)
    ids = list(found.classes.foreground)
    for sample in found.samples:
        truth = found.read_ground_truth(sample)
        maps = words.maps(sample.name, truth, ids, (12, 16))
        lowest = maps.amin(dim=(1, 2), keepdim=True)  # files of maps hold values above 0
        path = folder / f"{sample.name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, classes=np.array(ids), cams=(maps - lowest + 0.1).numpy())
    return folder


def sources(maps: Path) -> tuple[str, ...]:
    own = {"files": {"maps": str(maps), "backbone": "none"}}
    return ("--sources", "classifier", "files", "--source-settings", json.dumps(own))


@pytest.fixture(scope="module")
def _both(tmp_path_factory: pytest.TempPathFactory, scenes: Any, new_case: Any) -> Any:
    from dhr.cli import main

    root = tmp_path_factory.mktemp("both")
    case = new_case(scenes(root / "data", count=COUNT), root / "out")
    write_maps(case.data, root / "maps")
    assert main(case.run(*sources(root / "maps"))) == 0
    return case


@pytest.fixture
def both(_both: Any, new_case: Any, tmp_path: Path) -> tuple[Any, tuple[str, ...]]:
    """A finished run of two sources, a copy that a test may spoil, and the options of its sources."""
    for name in ("data", "out", "maps"):
        shutil.copytree(_both.data.parent / name, tmp_path / name)
    return new_case(tmp_path / "data", tmp_path / "out"), sources(tmp_path / "maps")


def masks_and_networks(made: dict[str, Any]) -> dict[str, Any]:
    """All but the records, which hold the paths of the photographs."""
    return {name: content for name, content in made.items() if not name.startswith("items/")}


def one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err


def test_the_calibration_is_a_stage_and_a_file_and_a_part_of_the_record(both: Any) -> None:
    case, _ = both
    record = case.record()
    assert [row["name"] for row in record["stages"]] == [
        "models", "scan", "maps", "classifier", "calibration", "survey", "masks",
    ]  # fmt: skip
    found = load_file(case.out / "calibration.safetensors")
    classes = len(record["classes"])
    assert found["weights"].shape == (2, classes) and not (case.out / "work" / "calibration").exists()
    rows = record["calibration"]
    assert {row["source"] for row in rows} == {"classifier", "files"}
    assert len(rows) == 2 * len(FolderDataSet(case.data).classes.foreground)
    for row in rows:
        index = ("classifier", "files").index(row["source"])
        tag = record["classes"].index(row["name"])
        assert row["used"] == bool(found["weights"][index, tag] > 0) and row["why"]
        assert row["photographs"] == int(found["photographs"][tag])
    page = (case.out / "report.html").read_text(encoding="utf-8")
    assert "Map sources" in page and rows[0]["why"] in page
    assert record["counts"]["masks"] == COUNT


def test_a_finished_run_makes_nothing_and_keeps_its_record(both: Any, dhr: Any) -> None:
    case, options = both
    before = case.record()["calibration"]
    assert dhr(case.run(*options)).code == 0
    next((case.out / "masks").glob("*.png")).unlink()
    assert dhr(case.run(*options)).code == 0
    assert case.record()["calibration"] == before


def test_the_order_of_the_sources_does_not_matter(both: Any, dhr: Any, made: Any) -> None:
    case, (flag, first, second, *own) = both
    before = masks_and_networks(made(case.out))
    next((case.out / "masks").glob("*.png")).unlink()
    assert dhr(case.run(flag, second, first, *own)).code == 0
    assert masks_and_networks(made(case.out)) == before


def test_a_pass_that_was_interrupted_ends_with_the_same_bytes(
    both: Any, dhr: Any, made: Any, new_case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished, options = both
    case, alone = new_case(finished.data, tmp_path / "second"), ("--batch", "1", *options)
    compute, calls = module._Pass._cells, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments[2][0].name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return compute(*arguments)

    monkeypatch.setattr(module._Pass, "_cells", interrupted)
    assert dhr(case.run(*alone)).code == 130
    kept = sorted((case.out / "work" / "calibration").rglob("*.safetensors"))
    assert len(kept) == 3 and not (case.out / "calibration.safetensors").exists()
    kept[0].write_bytes(kept[0].read_bytes()[:-1])  # damaged: computed again
    assert dhr(case.run(*alone)).code == 0
    assert len(calls) == 4 + COUNT - 2
    assert masks_and_networks(made(case.out)) == masks_and_networks(made(finished.out))


def test_a_damaged_calibration_is_named_and_made_again(both: Any, dhr: Any, made: Any) -> None:
    case, options = both
    before = masks_and_networks(made(case.out))
    path = case.out / "calibration.safetensors"
    whole = load_file(path)
    for spoiled in (
        {**whole, "knots": whole["knots"].flip(2) - torch.arange(whole["knots"].shape[2])},
        {**whole, "weights": whole["weights"] + 0.5},
        {**whole, "ratios": whole["ratios"] * torch.nan},
        {**whole, "weights": whole["weights"][:1]},
    ):
        next((case.out / "masks").glob("*.png")).unlink()
        save_file(spoiled, path)
        one_line(dhr(case.run(*options)), "calibration.safetensors", "--redo calibration")
    assert dhr(case.run(*options, "--redo", "calibration")).code == 0
    assert masks_and_networks({name: one for name, one in made(case.out).items() if "gone/" not in name}) == before


def test_other_maps_need_another_calibration(both: Any, dhr: Any) -> None:
    case, options = both
    first = sorted((case.data.parent / "maps").rglob("*.npz"))[0]
    with np.load(first) as file:
        np.savez(first, classes=file["classes"], cams=file["cams"][:, ::-1])
    one_line(dhr(case.run(*options)), "source", "--redo calibration")
    assert dhr(case.run(*options, "--redo", "calibration")).code == 0


def test_a_single_source_is_another_run(both: Any, dhr: Any) -> None:
    case, _ = both
    one_line(dhr(case.run()), "holds another run", "sources changed")


def test_a_source_without_maps_of_other_classes_is_judged_by_its_agreement(
    both: Any, dhr: Any, new_case: Any, tmp_path: Path
) -> None:
    finished, options = both
    data = FolderDataSet(finished.data)
    for sample in data.samples:
        path = tmp_path / "maps" / f"{sample.name}.npz"
        with np.load(path) as file:
            where = [file["classes"].tolist().index(tag) for tag in sample.tags]
            np.savez(path, classes=file["classes"][where], cams=file["cams"][where])
    case = new_case(finished.data, tmp_path / "second")
    assert dhr(case.run(*options)).code == 0
    rows = [row for row in case.record()["calibration"] if row["source"] == "files"]
    assert all(row["follows"] == 0 for row in rows)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sources": ["clip"]}, "two or more"),
        ({"sources": ["clip", "clip"]}, "each once"),
        ({"sources": ["classifier", "clip"], "recursion": True}, "recursion needs a single source"),
        ({"source_settings": {"clip": {}}}, "one of the sources"),
        ({"sources": ["classifier", "files"]}, "--source-settings '{files: {maps: DIR}}'; got none"),
        ({"sources": ["classifier", "files"], "wss": {"maps": "x"}}, "--source-settings '{files: {maps: DIR}}'"),
        ({"sources": ["classifier", "clip"], "source_settings": {"clip": {"promt": "a {}"}}}, "did you mean prompt?"),
        ({"sources": ["classifier", "clip"], "source_settings": {"clip": {"kind": "irn"}}}, "except kind"),
        ({"sources": ["classifier", "clip"], "source_settings": {"clip": {"scales": 1}}}, "values in brackets"),
        ({"sources": ["classifier", "clip"], "source_settings": {"clip": {"scales": [0]}}}, "positive numbers"),
    ],
)
def test_settings_that_cannot_work_are_one_line(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        run_settings(settings)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_sources_that_cannot_work_are_one_line(fresh: Any, dhr: Any) -> None:
    one_line(dhr(fresh.run("--sources", "classifier", "nonsense")), "nonsense", "wss.kind and sources take classifier")
    one_line(dhr(fresh.run("--sources", "classifier", "irn")), "cannot be used together", "classifier")


def test_each_source_has_settings_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "sources: [files, classifier]\nwss: {scales: [1, 2]}\n"
        "source_settings: {files: {maps: maps, backbone: none, scales: [1]}}\n"
    )
    config, _ = run_settings(tmp_path / "a.yaml")
    first, second = config.parts
    assert config.kinds == ("classifier", "files") == (first.wss.kind, second.wss.kind)
    assert first.wss.scales == (1.0, 2.0) and second.wss.scales == (1.0,)
    assert first.wss.maps is None and second.wss.maps == tmp_path / "maps"
    assert first.sources == second.sources == () and RunConfig().parts == (RunConfig(),)


def test_a_dry_run_names_the_stages_that_other_settings_need(both: Any, dhr: Any) -> None:
    case, options = both
    *flags, own = options
    changed = json.loads(own)
    changed["classifier"] = {"scales": [1.0, 1.5]}
    again = (*flags, json.dumps(changed), "--dry-run")
    one_line(dhr(case.run(*again)), "sources.classifier.scales", "--redo calibration")
    ended = dhr(case.run(*again, "--redo", "calibration"))
    assert ended.code == 0 and "calibration" in ended.out and "classifier (" not in ended.out


def test_a_plan_names_all_sources(both: Any, dhr: Any) -> None:
    case, options = both
    ended = dhr(["plan", *case.run(*options)[1:]])
    assert ended.code == 0 and "calibration" in ended.out and "files in" in ended.out and "classifier" in ended.out


def test_a_plan_leaves_out_a_photograph_without_maps_as_a_run_does(both: Any, dhr: Any) -> None:
    case, options = both
    some = some_sizes(found := FolderDataSet(case.data))
    first = drawn([one for one in found.samples if one.tags], some, LIMITS.photographs)[0]
    (case.data.parent / "maps" / f"{first.name}.npz").unlink()
    arguments = ["plan", "--data", case.data, *case.run(*options)[5:]]
    ended = dhr(arguments)
    assert ended.code == 0 and "calibration" in ended.out, ended


def test_a_run_from_python_has_the_same_masks(both: Any, made: Any, tmp_path: Path) -> None:
    """A data set without ground truth gives the same: nothing of it is read."""
    case, _ = both
    shutil.rmtree(tmp_path / "data" / "truth")
    config = RunConfig(
        wss=WssConfig(backbone="test_resnet", weights="none", scales=(1.0,)),
        sources=("files", "classifier"),
        source_settings={"files": {"maps": tmp_path / "maps", "backbone": "none"}},
    )
    settings = case.record()["settings"]
    config = replace(
        config, classifier=replace(config.classifier, epochs=2, batch=3, crop=32, save_minutes=0.0),
        uss=replace(config.uss, kind="colour", weights="none", scales=(1.0,)), work_space=settings["work_space"],
    )  # fmt: skip
    outcome = run(FolderDataSet(case.data), tmp_path / "again", config)
    assert outcome.masks == COUNT
    first, second = (
        {name: one for name, one in made(out).items() if name.startswith("masks/")}
        for out in (case.out, tmp_path / "again")
    )
    assert first == second
