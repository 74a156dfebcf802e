"""The simulation of a run with a million photographs."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_million_photographs_fit_into_the_memory_of_a_driver(tmp_path: Path) -> None:
    """Its figures of time depend on other programs, so they are not compared."""
    if find_spec("ray") is None:
        pytest.skip("needs ray")
    calls, count = ("run", "again", "half", "opened", "review"), 1_000_000
    command = [sys.executable, str(ROOT / "benchmarks/million.py"), "--rows", str(count), "--calls", *calls]
    subprocess.run([*command, "--folder", str(tmp_path / "work"), "--json", str(tmp_path / "f.json")], check=True)
    found = {row["name"]: row for row in json.loads((tmp_path / "f.json").read_text())["calls"]}
    assert tuple(found) == calls and all(row["mb"] < 2000 for row in found.values())
    assert all(found[name]["masks"] == count for name in ("run", "again", "half", "opened"))
    assert found["again"]["new_files"] == 0 and found["half"]["new_files"] > 0
    assert found["review"]["photographs"] == count and found["review"]["page_kb"] < 100
