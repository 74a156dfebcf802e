"""What mended masks teach the others, from generated scenes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = """
wss: {backbone: test_resnet, weights: none, scales: [1.0]}
classifier: {epochs: 2, batch: 3, crop: 32}
uss: {kind: colour, weights: none, scales: [1.0]}
"""


def test_every_order_is_scored_on_the_masks_that_nobody_touched(tmp_path: Path, scenes: Any) -> None:
    scenes(tmp_path / "data")
    (tmp_path / "c.yaml").write_text(SETTINGS)
    command = [sys.executable, str(ROOT / "benchmarks/review.py"), "--data", "data", "--config", "c.yaml"]
    command += ["--json", "out.json", "--mended", "1", "3", "--seeds", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / "out.json").read_bytes())
    assert [(row["order"], row["mended"]) for row in found["rows"]] == [
        (order, mended) for order in ("queue", "margin", "random") for mended in (1, 3)
    ]
    for row in found["rows"]:
        assert row["miou_untouched"] - row["miou_untouched_before"] == pytest.approx(row["miou_gain"])
        assert 0 <= row["miou_untouched"] <= 100
    assert 0 <= found["wrong_in_first_third"] <= 100
    assert found["first_run_s"] > 0 and found["update_s"] > 0
    record = json.loads((tmp_path / "review-work" / "mended" / "run.json").read_bytes())
    assert record["taught"]["masks"] == 3
    assert "% of all wrong pixels" in ended.stdout
