"""Scores by number of photographs, of generated scenes."""

import json
from pathlib import Path
from typing import Any

import pytest

SETTINGS = """
wss: {backbone: test_resnet, weights: none, scales: [1.0]}
classifier: {epochs: 1, batch: 3, crop: 32}
uss: {kind: colour, weights: none, scales: [1.0]}
"""


def test_draws_of_several_sizes_are_scored(tmp_path: Path, scenes: Any, benchmark: Any) -> None:
    data = scenes(tmp_path / "data", 6)
    (tmp_path / "c.yaml").write_text(SETTINGS)
    options = ("--data", data, "--config", "c.yaml", "--cache", "cache", "--json", "out.json", "--draws", "2")
    benchmark("few", *options, "--photographs", "3", "6")
    found = json.loads((tmp_path / "out.json").read_bytes())
    named = [(row["photographs"], row["method"]) for row in found["rows"]]
    assert named == [(count, name) for count in (3, 6) for name in ("cam", "paper", "default")]
    for row in found["rows"]:
        first, second = (one["miou"] for one in row["all"])
        assert row["draws"] == 2 and row["miou"] == pytest.approx((first + second) / 2, abs=0.01)
        assert row["se"] == pytest.approx(abs(first - second) / 2, abs=0.01)
    assert [(one["photographs"], one["draw"]) for one in found["chosen"]] == [(3, 0), (3, 1), (6, 0), (6, 1)]
    assert all(0 <= one["weight"] <= 1 and (one["weight"] > 0) == (one["trust"] > 0) for one in found["chosen"])
    assert len(list((tmp_path / "cache").iterdir())) == 4  # a training for each draw

    benchmark("few", *options, "--photographs", "6", "--wrong", "0", "0.5")
    found = json.loads((tmp_path / "out.json").read_bytes())
    assert [(row["wrong"], row["method"]) for row in found["rows"]] == [
        (share, name) for share in (0.0, 0.5) for name in ("cam", "paper", "default")
    ]
    right, wrong = ([row["miou"] for row in found["rows"] if row["wrong"] == share] for share in (0.0, 0.5))
    assert sum(wrong) < sum(right), "an object without its tag has no right pixel"
    assert len(list((tmp_path / "cache").iterdir())) == 6  # those of right tags are taken again

    with pytest.raises(SystemExit):
        benchmark("few", *options, "--photographs", "7")
