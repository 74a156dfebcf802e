"""A run is opened again from its folder alone: data, settings, paths."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhr as library
from dhr.api.data import DataFolder
from dhr.api.opened_run import opened_run
from dhr.api.settings import run_settings
from dhr.errors import ConfigError, DataError, DhrError, OutputError
from dhr.progress import silent

OWN = {
    "wss.backbone": "test_resnet", "wss.weights": "none", "uss.kind": "colour", "uss.weights": "none",
    "method.prior": {"sky": 0.5}, "method.marginal": "prior", "classifier.epochs": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _here(finished: Any) -> None:
    """The folder is a copy; its record names the copy of the data."""
    path = finished.out / "run.json"
    record = json.loads(path.read_text())
    assert Path(record["data"]["path"]).is_absolute() and record["data"]["format"] == "auto"
    path.write_text(json.dumps(record | {"data": {"path": str(finished.data)}}))


def test_the_settings_and_the_data_of_a_run_come_back(finished: Any, contents: Any) -> None:
    found = opened_run(finished.out, None, silent)
    assert len(found.data.samples) == 5 and found.config.wss.backbone == "test_resnet"
    before = contents(finished.out)
    assert library.run(DataFolder(finished.data), finished.out, config=found.config, dry_run=True).dry_run is not None
    from dhr.job.run import run

    assert run(found.data, finished.out, found.config).new == 0  # the same identity: nothing is refused
    changed = {name for name, content in contents(finished.out).items() if content != before.get(name)}
    assert changed <= {"run.json", "report.html"}


def test_all_settings_come_back(finished: Any, tmp_path: Path) -> None:
    """Tuples, paths, mappings and settings of sources, as JSON holds them."""
    from dataclasses import asdict

    from dhr.job.settings import plain

    config, _ = run_settings({**OWN, "sources": ["classifier", "files"], "source_settings": {"files": {"maps": "m"}}})
    path = finished.out / "run.json"
    record = json.loads(path.read_text()) | {"settings": plain(asdict(config)), "directory": str(tmp_path)}
    path.write_text(json.dumps(record))
    found = opened_run(finished.out, None, silent).config
    assert found.source_settings == {"files": {"maps": tmp_path / "m"}} and found.method == config.method
    assert found == config.__class__(**{**vars(config), "source_settings": found.source_settings})


def test_data_that_moved_or_differ(finished: Any, scenes: Any, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.move(finished.data, moved)
    with pytest.raises(DataError, match=r"is gone; name the folder with --data DIR"):
        opened_run(finished.out, None, silent)
    assert len(opened_run(finished.out, moved, silent).data.samples) == 5
    (moved / "classes.txt").write_text((moved / "classes.txt").read_text() + "unicorn\n")
    with pytest.raises(DataError, match="its classes are"):
        opened_run(finished.out, moved, silent)
    others = scenes(tmp_path / "others")
    for path in sorted((others / "images").rglob("*.png")):
        path.rename(path.with_name(f"other-{path.name}"))
    (others / "tags.csv").write_text((others / "tags.csv").read_text().replace("scene", "other-scene"))
    with pytest.raises(DataError, match="its masks belong to other photographs than the 5 here"):
        opened_run(finished.out, others, silent)


def test_photographs_in_memory_are_given_again(finished: Any) -> None:
    path = finished.out / "run.json"
    record = json.loads(path.read_text())
    del record["data"]
    path.write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="the photographs were in memory or dhr was older; give them again"):
        opened_run(finished.out, None, silent)
    with pytest.raises(DataError):
        opened_run(finished.out, ([np.zeros((8, 8, 3), np.uint8)], [["cat"]]), silent)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"method": {"tua": 1}}},
        {"settings": {"seed": "x"}},
        {"settings": {"seed": -1}},
        {"kind": "predict"},
    ],
)
def test_folders_that_are_no_run_are_refused(change: dict[str, Any], finished: Any, tmp_path: Path) -> None:
    path = finished.out / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DhrError) as error:
        opened_run(finished.out, None, silent)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(OutputError, match=r"found no run\.json"):
        opened_run(tmp_path, None, silent)
