"""The benchmark of whole commands, on a few generated scenes with tiny networks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = """
wss: {backbone: test_resnet, weights: none, scales: [1.0]}
classifier: {epochs: 1, batch: 3, crop: 32}
uss: {kind: colour, weights: none, scales: [1.0]}
student_training: {crop: 32}
"""


@pytest.mark.slow
def test_commands_are_compared_with_an_earlier_commit_and_with_their_networks(tmp_path: Path, scenes: Any) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a clone, to check out a commit")
    data = scenes(tmp_path / "data", count=3)
    (tmp_path / "c.yaml").write_text(SETTINGS)
    command = [sys.executable, str(ROOT / "benchmarks/end_to_end.py"), "--data", str(data), "--config", "c.yaml"]
    command += ["--before", "HEAD", "--repeat", "1", "--json", "f.json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    found = json.loads((tmp_path / "f.json").read_bytes())
    assert set(found["speedup"]) == {"run", "predict"} and all(value > 0 for value in found["speedup"].values())
    over = found["over_networks"]
    assert set(over) == {"run", "run, stages", "predict", "predict, stages", "training"}
    assert all(value > 1 for value in over.values()) and over["run"] > over["run, stages"]
    assert found["photographs"] == 3
    for what in ("run", "predict"):
        rows = found["commands"][what]
        assert set(rows) == {"before", "now"}
        assert all(row["peak_memory_mb"] > 50 and row["stages"] for row in rows.values())
        assert found["agreement"][what]["equal_pixels"] > 0.9
        assert 0 <= found["agreement"][what]["now"]["miou"] <= 100
    assert "networks" in found["pure"]["run"]


def test_settings_that_a_version_lacks_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from end_to_end import fitting_settings, known_settings

    (tmp_path / "w").mkdir()
    (tmp_path / "w/a.safetensors").touch()
    known = known_settings(ROOT)
    kept = {"seed": 1, "preset": "paper"}
    wss = {"weights": "w/a.safetensors", "options": {"a": 1}}
    found = fitting_settings({**kept, "new": 2, "wss": {**wss, "other": 1}}, known, tmp_path)
    assert found == {**kept, "wss": {**wss, "weights": str(tmp_path / "w/a.safetensors")}}
