"""Runs with `wss.kind irn`: the classifier is trained as ever, then the heads on its CAMs."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from dhr.data import FolderDataSet
from dhr.errors import ConfigError
from dhr.job import RunConfig
from dhr.job.run import run
from dhr.models.uss import UssConfig
from dhr.models.wss import WssConfig
from dhr.train.config import AffinityConfig, ClassifierConfig

IRN = (
    *("--wss.kind", "irn", "--affinity.epochs", "2", "--affinity.batch", "3", "--affinity.crop", "32"),
    *("--affinity.radius", "2", "--affinity.save-minutes", "0"),
)
CONFIG = RunConfig(
    wss=WssConfig(kind="irn", backbone="test_resnet", weights="none", scales=(1.0,)),
    classifier=ClassifierConfig(epochs=2, batch=3, crop=32),
    affinity=AffinityConfig(epochs=2, batch=3, crop=32, radius=2),
    uss=UssConfig(kind="colour", weights="none", scales=(1.0,)),
)


@pytest.fixture(scope="module")
def whole(forks: Any, scenes: Any, new_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of three photographs that nobody disturbed, and its moments."""
    root = tmp_path_factory.mktemp("irn")
    case = new_case(scenes(root / "data", count=3), root / "out")
    ended = forks(case.run(*IRN), watch="moments")
    assert ended.code == 0, ended.err
    return case, ended.trace


@pytest.fixture
def irn(whole: Any, new_case: Any, tmp_path: Path) -> Any:
    """The same, a copy that a test may spoil."""
    case, _ = whole
    shutil.copytree(case.data, tmp_path / "data")
    shutil.copytree(case.out, tmp_path / "out")
    return new_case(tmp_path / "data", tmp_path / "out")


def one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err


def test_heads_are_a_stage_and_a_file_of_their_own(irn: Any, made: Any) -> None:
    record = irn.record()
    assert [stage["name"] for stage in record["stages"]] == [
        "models",
        "scan",
        "classifier",
        "affinity",
        "survey",
        "masks",
    ]
    assert record["identity"]["settings"]["affinity"]["epochs"] == 2
    assert sum(name.startswith("masks/") for name in made(irn.out)) == 3
    heads = load_file(irn.out / "affinity.safetensors")
    assert {name.split(".")[0] for name in heads} == {"edges", "displacement"}
    assert not [path for path in irn.out.rglob("*") if path.suffix in (".checkpoint", ".dhr-tmp")]


def test_the_classifier_is_the_one_of_a_plain_run(irn: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    plain = new_case(irn.data, tmp_path / "plain")
    assert dhr(plain.run()).code == 0
    name = "classifier.safetensors"
    assert (plain.out / name).read_bytes() == (irn.out / name).read_bytes()
    assert not (plain.out / "affinity.safetensors").exists()


def test_heads_are_trained_on_the_classifier_of_a_plain_run(
    irn: Any, dhr: Any, made: Any, new_case: Any, tmp_path: Path
) -> None:
    plain = new_case(irn.data, tmp_path / "plain")
    assert dhr(plain.run()).code == 0
    second = new_case(irn.data, tmp_path / "second")
    assert dhr(second.run(*IRN, "--classifier.file", str(plain.out / "classifier.safetensors"))).code == 0
    first, then = made(irn.out), made(second.out)
    assert first.keys() - then.keys() == {"classifier.safetensors"}
    assert all(then[name] == first[name] for name in then if not name.startswith("items/"))
    third = new_case(irn.data, tmp_path / "third")  # and the other way round
    assert dhr(third.run("--classifier.file", str(irn.out / "classifier.safetensors"))).code == 0


def test_a_finished_run_called_again_trains_nothing(irn: Any, dhr: Any, made: Any) -> None:
    before = made(irn.out)
    ended = dhr(irn.run(*IRN))
    assert ended.code == 0 and "affinity:" not in ended.out
    next((irn.out / "masks").glob("*.png")).unlink()
    ended = dhr(irn.run(*IRN))
    assert ended.code == 0 and "affinity:" not in ended.out
    after = made(irn.out)
    assert all(after[name] == before[name] for name in before if not name.startswith("items/"))


def moments(trace: tuple[str, ...]) -> list[int]:
    """Some moments, numbered from 1, of each kind while the heads are trained and written."""
    files = ("affinity.checkpoint", "affinity.safetensors")
    kinds = [f"{what} {file}" for file in files for what in ("half of", "before renaming to")]
    numbers = [number for number, kind in enumerate(trace, start=1) if kind in kinds]
    assert {trace[number - 1] for number in numbers} == set(kinds)
    assert "after renaming" in trace[numbers[-1]]
    steps = [number for number, kind in enumerate(trace, start=1) if kind == "after a training step"]
    assert len(steps) == 4  # three photographs a step: two epochs of the classifier, two of the heads
    return [*steps[2:], *numbers, numbers[-1] + 1, numbers[-1] + 2, numbers[-1] + 3]


@pytest.mark.parametrize("index", range(11))
def test_a_killed_run_goes_on(index: int, whole: Any, forks: Any, made: Any, new_case: Any, tmp_path: Path) -> None:
    undisturbed, trace = whole
    number = moments(trace)[index]
    case = new_case(undisturbed.data, tmp_path / "out")
    killed = forks(case.run(*IRN), watch="moments", kill_at=number)
    assert killed.code == -signal.SIGKILL, killed.err
    heads = case.out / "affinity.safetensors"
    assert not heads.exists() or load_file(heads)
    resumed = forks(case.run(*IRN))
    assert resumed.code == 0, f"killed {killed.trace[-1]}: {resumed.err}"
    assert made(case.out) == made(undisturbed.out)
    assert not [path for path in case.out.rglob("*") if path.suffix in (".checkpoint", ".dhr-tmp")]


def test_there_are_as_many_moments_as_are_tried(whole: Any) -> None:
    assert len(moments(whole[1])) == 11


def test_damaged_files_are_named(irn: Any, dhr: Any) -> None:
    shutil.rmtree(irn.out / "masks")
    heads = irn.out / "affinity.safetensors"
    content = heads.read_bytes()
    heads.write_bytes(content[:-1000])
    one_line(dhr(irn.run(*IRN)), str(heads), "--redo affinity")
    shutil.copy(irn.out / "classifier.safetensors", heads)
    one_line(dhr(irn.run(*IRN)), str(heads), "parameters differ", "--redo affinity")
    heads.unlink()
    checkpoint = irn.out / "work" / "affinity.checkpoint"
    checkpoint.write_bytes(b"half of it")
    one_line(dhr(irn.run(*IRN)), str(checkpoint), "--redo affinity")
    assert dhr(irn.run(*IRN, "--redo", "affinity")).code == 0
    assert heads.read_bytes() == content


def test_settings_of_the_heads_count_where_there_are_heads(irn: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    one_line(dhr(irn.run(*IRN, "--affinity.epochs", "3")), "settings.affinity.epochs was 2, now 3")
    assert dhr(irn.run(*IRN, "--affinity.workers", "1")).code == 0
    one_line(dhr(irn.run()), "settings.affinity changed", "settings.wss.kind was irn, now classifier")
    plain = new_case(irn.data, tmp_path / "plain")
    assert dhr(plain.run()).code == 0
    assert "affinity" not in json.loads((plain.out / "run.json").read_bytes())["identity"]["settings"]
    assert dhr(plain.run("--affinity.epochs", "7")).code == 0


def test_run_from_python(irn: Any, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    run(
        FolderDataSet(irn.data),
        tmp_path / "new",
        CONFIG,
        progress=lambda step: seen.append((step.stage, step.done, step.total)),
    )
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == [
        "scan",
        "plan",
        "classifier",
        "affinity",
        "survey",
        "discriminants",
        "masks",
    ]
    counts = [(done, total) for name, done, total in seen if name == "affinity"]
    assert counts == sorted(counts) and counts[-1] == (9, 9)
    again = (tmp_path / "new" / "affinity.safetensors").read_bytes()
    assert again == (irn.out / "affinity.safetensors").read_bytes()


def test_crops_must_hold_more_than_a_cell() -> None:
    with pytest.raises(ConfigError, match=r"affinity\.crop must be at least 32"):
        replace(CONFIG, affinity=AffinityConfig(crop=31))
    replace(CONFIG, wss=replace(CONFIG.wss, kind="classifier"), affinity=AffinityConfig(crop=31))
