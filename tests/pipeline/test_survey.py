"""The first pass of a run: killed, damaged, and left out."""

from pathlib import Path
from typing import Any

import pytest

from dhr.pipeline import survey as module


def masks_and_networks(made: dict[str, Any]) -> dict[str, Any]:
    """All but the records, which hold the paths of the photographs."""
    return {name: content for name, content in made.items() if not name.startswith("items/")}


def test_a_pass_that_was_interrupted_ends_with_the_same_bytes(
    finished: Any, dhr: Any, made: Any, new_case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = new_case(finished.data, tmp_path / "second")
    monkeypatch.setattr(module, "SAVE_EVERY", 2)
    add, calls = module.add_maps, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments[2].name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return add(*arguments)

    monkeypatch.setattr(module, "add_maps", interrupted)
    assert dhr(case.run()).code == 130
    assert (case.out / "work" / "survey.safetensors").is_file() and not (case.out / "survey.safetensors").exists()
    assert dhr(case.run()).code == 0
    assert len(calls) == 4 + 3  # two of five photographs were saved
    assert masks_and_networks(made(case.out)) == masks_and_networks(made(finished.out))
    assert not (case.out / "work" / "survey.safetensors").exists()


def test_a_damaged_survey_is_named_and_a_mask_made_again_is_the_same(finished: Any, dhr: Any, made: Any) -> None:
    before = masks_and_networks(made(finished.out))
    next((finished.out / "masks").glob("*.png")).unlink()
    assert dhr(finished.run()).code == 0
    assert masks_and_networks(made(finished.out)) == before
    next((finished.out / "masks").glob("*.png")).unlink()
    (finished.out / "survey.safetensors").write_bytes(b"nothing")
    ended = dhr(finished.run())
    assert ended.code == 2 and "survey.safetensors" in ended.err and ended.err.count("\n") == 1
    (finished.out / "survey.safetensors").unlink()
    assert dhr(finished.run()).code == 0
    assert masks_and_networks(made(finished.out)) == before


def test_without_weight_there_is_no_survey(finished: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    case = new_case(finished.data, tmp_path / "second")
    assert dhr(case.run("--method.survey", "0")).code == 0
    assert not (case.out / "survey.safetensors").exists()
