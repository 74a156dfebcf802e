"""The benchmark of strokes."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from strokes import main, stroke, wrong_region


def test_a_stroke_lies_in_the_largest_wrong_region() -> None:
    truth, mask = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    truth[2:5, 2:5], truth[10:18, 4:28], truth[19] = 1, 2, 255
    region = wrong_region(mask, truth)
    assert region is not None and np.array_equal(region, truth == 2)
    drawn = stroke(region)
    assert 30 < drawn.sum() < region.sum() and not drawn[~region].any()
    assert wrong_region(truth, truth) is None


def test_strokes_make_masks_better(_finished: Any, tmp_path: Path) -> None:
    main(["--run", str(_finished.out), "--strokes", "1", "--json", str(tmp_path / "f.json")])
    before, after = json.loads((tmp_path / "f.json").read_text())["rows"]
    assert before["refined"] == before["painted"] and before["worse"] == 0
    assert max(after["refined"]["wrong"], after["painted"]["wrong"]) < before["refined"]["wrong"]
