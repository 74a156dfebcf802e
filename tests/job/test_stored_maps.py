"""Runs with `wss.kind files`: maps of other programs, read instead of made."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FILES = ("--wss.kind", "files", "--wss.backbone", "none")


@pytest.fixture
def other(finished: Any, new_case: Any, tmp_path: Path) -> Any:
    """The photographs of a finished run, whose CAMs are the files, and a place for another run."""
    case = new_case(finished.data, tmp_path / "other")
    return case, tmp_path / "out" / "cams"


def one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err, ended.err


def test_a_run_of_another_runs_cams(other: Any, dhr: Any, labels: Any, tmp_path: Path) -> None:
    case, cams = other
    ended = dhr(case.run(*FILES, "--wss.maps", str(cams)))
    assert ended.code == 0, ended.err
    assert not (case.out / "classifier.safetensors").exists()
    names = sorted(path.relative_to(case.out) for path in (case.out / "masks").rglob("*.png"))
    assert len(names) == 5
    agree = [(labels(case.out / name) == labels(tmp_path / "out" / name)).mean() for name in names]
    assert np.mean(agree) > 0.7  # the same maps, other features
    assert "sha256" in case.record()["identity"]["settings"]["wss"]["maps"]
    again = dhr(case.run(*FILES, "--wss.maps", str(cams)))
    assert again.code == 0 and "5 of the masks were there already" in again.out


def test_maps_decide_on_the_masks(other: Any, dhr: Any, labels: Any) -> None:
    """Truth as maps gives nearly the truth."""
    case, _ = other
    more = ("--boundary.kind", "none", "--method.survey", "0")
    assert dhr(case.run(*FILES, "--wss.maps", str(case.data / "truth"), *more)).code == 0
    agree = [
        (labels(path) == labels(case.data / "truth" / path.relative_to(case.out / "masks"))).mean()
        for path in (case.out / "masks").rglob("*.png")
    ]
    assert np.mean(agree) > 0.6, agree


def test_a_photograph_without_maps_is_reported_and_skipped(other: Any, dhr: Any, tmp_path: Path) -> None:
    case, cams = other
    first, second, third, *_ = sorted(cams.rglob("*.npz"))
    first.unlink()
    np.savez(second, cams=np.ones((1, 2, 2)), classes=np.array([99]))
    third.write_bytes(b"PK\x03\x04")
    ended = dhr(case.run(*FILES, "--wss.maps", str(cams)))
    assert ended.code == 1
    for words in ("got no file", "it lacks the map of", "cannot be used as maps"):
        assert words in ended.out, ended.out
    assert len(list((case.out / "masks").rglob("*.png"))) == 2
    assert len(case.record()["skipped"]) == 3


def test_other_maps_are_another_run(other: Any, dhr: Any, tmp_path: Path) -> None:
    case, cams = other
    assert dhr(case.run(*FILES, "--wss.maps", str(cams))).code == 0
    shutil.move(cams, tmp_path / "elsewhere")  # the same files in another place
    assert dhr(case.run(*FILES, "--wss.maps", str(tmp_path / "elsewhere"))).code == 0
    next((tmp_path / "elsewhere").glob("*.npz")).unlink()
    one_line(dhr(case.run(*FILES, "--wss.maps", str(tmp_path / "elsewhere"))), "wss.maps changed")


def test_features_are_those_of_the_backbone(other: Any, dhr: Any, tmp_path: Path) -> None:
    """Random or of another run's classifier, which makes other masks."""
    case, cams = other
    call = case.run("--wss.kind", "files", "--wss.maps", str(cams))
    classifier = tmp_path / "out" / "classifier.safetensors"
    assert dhr([*call, "--classifier.file", str(classifier)]).code == 0
    trained = {path.name: path.read_bytes() for path in (case.out / "masks").rglob("*.png")}
    shutil.rmtree(case.out)
    assert dhr(call).code == 0
    assert {path.name: path.read_bytes() for path in (case.out / "masks").rglob("*.png")} != trained
    shutil.rmtree(case.out)
    one_line(dhr([*call, "--wss.backbone", "none", "--classifier.file", str(classifier)]), "--classifier.file", "none")


def test_settings_that_cannot_work(other: Any, dhr: Any, tmp_path: Path) -> None:
    case, cams = other
    one_line(dhr(case.run(*FILES)), "--wss.maps DIR")
    one_line(dhr(case.run(*FILES, "--wss.maps", str(tmp_path / "nowhere"))), "nowhere")
    (tmp_path / "empty").mkdir()
    one_line(dhr(case.run(*FILES, "--wss.maps", str(tmp_path / "empty"))), "no file of maps")
    one_line(dhr(case.run("--wss.maps", str(cams))), "wss.kind files")
    one_line(dhr(case.run(*FILES, "--wss.maps", str(cams), "--wss.numbering", "odd")), "wss.numbering", "odd")
    one_line(dhr(case.run(*FILES, "--wss.maps", str(cams), "--recursion")), "recursion needs", "files")
    assert not (case.out / "run.json").exists()


def test_a_yaml_names_maps_from_its_folder(other: Any, dhr: Any, tmp_path: Path) -> None:
    case, _ = other
    (tmp_path / "a.yaml").write_text("wss: {kind: files, backbone: none, maps: out/cams}\n")
    arguments = ["run", "--data", str(case.data), "--out", str(case.out), "--config", str(tmp_path / "a.yaml")]
    assert dhr([*arguments, "--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]"]).code == 0
