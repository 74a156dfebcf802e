"""`dhr plan`, and the first lines of `dhr run`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import dhr as package
from dhr.errors import WeightsError


def of(fresh: Any, *more: str) -> list[str]:
    """Arguments of ``dhr plan`` with tiny settings."""
    call: list[str] = fresh.run(*more)
    at = call.index("--out")
    return ["plan", *call[1:at], *call[at + 2 :]]


def test_a_plan_is_short_and_names_what_a_run_costs(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    ended = dhr(of(fresh, "--json", str(tmp_path / "plan.json")))
    assert ended.code == 0 and len(ended.out.splitlines()) < 40, ended.out
    for word in ("Data: 5 photographs", "Sizes: median 64x48", "per class", "classifier test_resnet", "survey", "masks",
                 "Together", "of memory", "of disk", "Measured on", "random weights"):  # fmt: skip
        assert word in ended.out, ended.out
    found = json.loads((tmp_path / "plan.json").read_text())
    assert found["fingerprint"]["photographs"] == 5 and found["estimate"]["memory_mb"] > 0
    assert [one["name"] for one in found["estimate"]["stages"]] == ["classifier", "survey", "masks"]
    assert 0 < found["estimate"]["least"] <= found["estimate"]["most"]


def test_a_finished_run_has_an_empty_plan(finished: Any, dhr: Any) -> None:
    ended = dhr([*of(finished), "--out", str(finished.out)])
    assert ended.code == 0 and "Everything is made; a run would do nothing." in ended.out


def test_without_weights_the_rest_of_the_plan_is_told(fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(remotes: object) -> None:
        raise WeightsError("weights are missing on this machine")

    monkeypatch.setattr("dhr.job.plan.require", lost)
    ended = dhr(of(fresh))
    assert ended.code == 1
    assert "Time and memory are unknown: weights are missing on this machine" in ended.out
    assert "--wss.weights FILE" in ended.out and "--recipe small" in ended.out


def test_a_plan_in_python_has_rows(fresh: Any) -> None:
    small = {"wss.backbone": "test_resnet", "wss.weights": "none", "wss.scales": [1.0], "classifier.crop": 32,
             "uss.kind": "colour", "uss.weights": "none"}  # fmt: skip
    result = package.plan(fresh.data, config=small)
    assert [row["stage"] for row in result.rows()] == ["classifier", "survey", "masks"]
    assert repr(result).startswith("PlanResult(5 photographs, ") and "<table>" in result._repr_html_()
    with pytest.raises(package.DhrError):
        package.plan(fresh.data / "nowhere")


def test_a_run_first_tells_what_it_will_do(fresh: Any, dhr: Any) -> None:
    lines = dhr(fresh.run()).out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("5 photographs, "))
    assert "classifier test_resnet" in lines[first] and "up to 64 pixels, on cpu" in lines[first]
    assert lines[first + 1] == "Left to do: classifier (10 crops), survey (5 photographs), masks (5 photographs)."
    assert not any(line.startswith("About ") for line in lines)  # five photographs are done before they are measured
    (fresh.out / "masks" / "000000.png").unlink(missing_ok=True)
    shutil.rmtree(fresh.out / "items")
    lines = dhr(fresh.run()).out.splitlines()
    assert "Left to do: survey (5 photographs), masks (5 photographs)." in lines or (
        "Left to do: masks (5 photographs)." in lines
    )
    assert not any(line.startswith("Left to do") for line in dhr(fresh.run()).out.splitlines())
    assert len(dhr(fresh.run("-q")).out.splitlines()) == 1


def test_a_long_run_is_measured_first_and_ends_with_the_same_masks(
    fresh: Any, dhr: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dhr(fresh.run()).code == 0
    expected = made(fresh.out)
    shutil.rmtree(fresh.out)
    monkeypatch.setattr("dhr.job.announce._MANY", 5)
    ended = dhr(fresh.run())
    (line,) = (line for line in ended.out.splitlines() if line.startswith("About "))
    assert " of memory, " in line and " of disk; measured on " in line
    assert made(fresh.out) == expected


def test_a_measurement_that_fails_does_not_end_the_run(fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("dhr.job.announce._MANY", 5)
    monkeypatch.setattr("dhr.job.announce.estimate", full)
    ended = dhr(fresh.run())
    assert ended.code == 0 and "The time could not be measured: no space left" in ended.out
