"""The benchmark of "refine again"."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from refine_again import main


def test_each_kind_of_call_is_timed(_finished: Any, tmp_path: Path) -> None:
    main(["--run", str(_finished.out), "--size", "48x40", "--count", "2", "--json", str(tmp_path / "f.json")])
    found = json.loads((tmp_path / "f.json").read_text())
    kinds = ["prepare", "refine", "refine with strokes", "refine with another class"]
    assert [row["what"] for row in found["rows"]] == kinds and all(row["ms"] > 0 for row in found["rows"])
    assert (found["size"], found["photographs"], found["long_side"]) == ([48, 40], 2, 640)
