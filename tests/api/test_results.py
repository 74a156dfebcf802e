"""What the public functions return, on photographs in memory and in folders."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhr
import dhr as package
from dhr.api.run import run
from dhr.data import SceneDataSet
from dhr.errors import ConfigError, OutputError
from dhr.progress import Step

TINY = {
    "wss": {"backbone": "test_resnet", "weights": "none", "scales": [1.0]},
    "classifier": {"epochs": 1, "batch": 3, "crop": 32},
    "uss": {"kind": "colour", "weights": "none", "scales": [1.0]},
    "boundary.kind": "none",
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    scenes = SceneDataSet(3, 0)
    images = [scenes.read_image(sample)[:64, :64] for sample in scenes.samples]
    tags = [[scenes.classes.names[tag] for tag in sample.tags] for sample in scenes.samples]
    return dhr.run((images, tags), tmp_path_factory.mktemp("run") / "out", config=TINY)


def test_photographs_in_memory_get_masks(result: Any) -> None:
    assert list(result.masks) == ["0", "1", "2"] and len(result.masks) == 3
    assert result.masks["1"].shape == (64, 64) and result.masks["1"].dtype == np.uint8
    assert "7" not in result.masks
    with pytest.raises(KeyError):
        result.masks["7"]
    assert result.complete and result.new == 3 and result.report.is_file() and result.classifier.is_file()


def test_rows_are_a_table_with_the_most_doubtful_first(result: Any) -> None:
    rows = result.rows()
    assert [row["quality"] for row in rows] == sorted(row["quality"] for row in rows)
    assert {row["name"] for row in rows} == {"0", "1", "2"} and all(Path(row["mask"]).is_file() for row in rows)
    assert len({tuple(row) for row in rows}) == 1


def test_it_shows_itself(result: Any) -> None:
    assert re.fullmatch(r"RunResult\(3 masks in .*masks\)", repr(result))
    page = result._repr_html_()
    assert page.count('<img src="data:image/') == 3 and "<script" not in page and "http" not in page
    assert result.rows()[0]["name"] in page and len(page) < 300_000


def test_a_second_call_makes_nothing_new(result: Any) -> None:
    again = dhr.run(result.data, result.out, config=TINY)
    assert (again.made, again.new) == (3, 0)


def test_progress_is_silent_unless_asked_for(result: Any, capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[Step] = []
    dhr.run(result.data, result.out, config=TINY, progress=steps.append)
    assert capsys.readouterr() == ("", "")
    assert steps and all(isinstance(step, Step) for step in steps)


def test_masks_are_exported_and_compared(result: Any, tmp_path: Path) -> None:
    done = dhr.export(result.data, result.out / "masks", tmp_path / "png", to="png")
    assert (done.masks, done.complete) == (3, True) and repr(
        done
    ) == f"ExportResult(3 masks as png: {tmp_path / 'png'})"
    with pytest.raises(ConfigError, match="coco writes one file; name it with --file FILE"):
        dhr.export(result.data, result.out / "masks", tmp_path / "a.json", to="coco")
    with pytest.raises(ConfigError, match="did you mean coco"):
        dhr.export(result.data, result.out / "masks", tmp_path / "a.json", to="cocoo")
    scored = dhr.evaluate(None, result.out / "masks", ground_truth=result.out / "masks")
    assert scored.scores.miou == 1.0 and "mIoU 100.0 %" in repr(scored)
    assert scored.rows()[0]["miou"] == 100.0 and "<table>" in scored._repr_html_()
    touching = dhr.adjacency(ground_truth=result.out / "masks", json=tmp_path / "a.json")
    assert touching.adjacency.masks == 3 and (tmp_path / "a.json").is_file() and touching.rows() is not None


def test_a_data_set_is_described(fresh: Any, tmp_path: Path) -> None:
    found = dhr.inspect(fresh.data, out=tmp_path / "page")
    assert found.complete and found.page == tmp_path / "page" / "inspect.html" and found.page.is_file()
    assert {"name", "photographs"} <= {*found.rows()[0]} and repr(found).startswith("InspectResult(")
    with pytest.raises(ConfigError, match="--file"):
        dhr.inspect(fresh.data, out=tmp_path / "page.html")
    with pytest.raises(OutputError, match="among the photographs"):
        dhr.inspect(fresh.data, out=fresh.data / "images")


def test_models_are_listed() -> None:
    found = dhr.models()
    assert {"uss", "wss"} == {row["role"] for row in found.rows()} and "<table>" in found._repr_html_()


def test_the_functions_stay_where_packages_have_their_names() -> None:
    import dhr.evaluate.run
    import dhr.train.config

    assert callable(dhr.evaluate) and callable(dhr.train) and dhr.run is run


def test_a_dry_run_says_what_would_be_done_and_does_nothing(result: Any, tmp_path: Path, dhr: Any, fresh: Any) -> None:
    planned = package.run(result.data, tmp_path / "out", config=TINY, dry_run=True)
    assert planned.dry_run is not None and not (tmp_path / "out").exists()
    assert [stage.name for stage in planned.dry_run.stages][-1] == "masks"
    assert package.run(result.data, result.out, config=TINY, dry_run=True).dry_run.stages == ()
    again = package.run(result.data, result.out, config=TINY, dry_run=True, again=package.Again(redo="masks")).dry_run
    assert [(stage.name, stage.photographs) for stage in again.stages] == [("masks", 3)]
    trained = package.train(result.data, tmp_path / "student", config=TINY, dry_run=True)
    assert [stage.name for stage in trained.dry_run.stages] == ["classifier", "survey", "student"]
    ended = dhr(fresh.run("--dry-run"))
    assert ended.code == 0 and "Nothing was done (--dry-run)." in ended.out and not fresh.out.exists()
