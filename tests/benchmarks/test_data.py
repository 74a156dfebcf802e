"""The benchmark of data commands."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dhr.data import write_mask

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_export_is_timed_and_the_loss_of_polygons_measured(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    ring = np.zeros((20, 30), np.uint8)
    ring[2:18, 2:18] = 3
    ring[5:8, 5:8] = 0
    for name in "ab":
        write_mask(tmp_path / "masks" / f"{name}.png", ring)
    command = [sys.executable, str(ROOT / "benchmarks/data.py"), "--masks", str(tmp_path / "masks"), "--json", "f.json"]
    command += ["--only", "export", "--formats", "yolo", "--repetitions", "1"]
    subprocess.run(command, cwd=tmp_path, check=True)
    content = json.loads((tmp_path / "f.json").read_text())
    (row,) = content["rows"]
    assert row["what"] == "export yolo" and row["masks"] == 2 and row["masks_per_second"] > 0
    assert [loss["wrong_percent"] for loss in content["losses"]] == [0, pytest.approx(100 * 9 / 600)]
