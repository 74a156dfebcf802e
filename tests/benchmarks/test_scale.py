"""The benchmark of large data sets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_all_steps_are_measured_and_none_twice(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/scale.py"), "--sizes", "60", "--work", str(tmp_path / "work")]
    command += ["--flat", "--json", str(tmp_path / "f.json")]
    texts = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(2)]
    assert "60-flat: evaluate" in texts[0].stderr and "60-flat: evaluate" not in texts[1].stderr
    (row,) = json.loads((tmp_path / "f.json").read_text())["rows"]
    assert row["photographs"] == 60 == row["most_files"]
    for step in ("run", "again", "missing", "report", "evaluate", "export"):
        assert row[step]["peak_mb"] > 100 and {"wall_ms", "cpu_ms"} <= row[step]["start"].keys()
    assert "masks" in row["missing"] and "masks" not in row["again"]
