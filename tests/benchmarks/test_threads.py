"""benchmarks/threads.py runs, and its processes have the value that is measured."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/threads.py"


def test_passes_are_timed(tmp_path: Path) -> None:
    options = ["--spins", "1000", "--busy", "0", "--passes", "1", "--repeat", "1", "--json", str(tmp_path / "f.json")]
    subprocess.run([sys.executable, str(SCRIPT), *options], check=True, capture_output=True, timeout=300)
    (row,) = json.loads((tmp_path / "f.json").read_text())["rows"]
    assert (row["spins"], row["busy"]) == ("1000", 0)
    assert row["seconds"] == row["all"][0] > 0
