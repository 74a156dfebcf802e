"""The table of methods, from generated scenes."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SETTINGS = """
wss: {backbone: test_resnet, weights: none, scales: [1.0]}
classifier: {epochs: 2, batch: 3, crop: 32}
uss: {kind: colour, weights: none, scales: [1.0]}
"""
COLUMNS = {"miou", "pixel_accuracy", "mfpr", "mfnr", "minor_iou", "vanished", "boundary_f", "ms"}


@pytest.fixture
def quality(tmp_path: Path, scenes: Any, benchmark: Any) -> Any:
    """Runs the benchmark on five scenes; gives what it wrote and printed."""
    data = scenes(tmp_path / "data")
    (tmp_path / "c.yaml").write_text(SETTINGS)

    def call(*more: str) -> tuple[dict[str, Any], str]:
        options = ("--data", data, "--config", "c.yaml", "--cache", "cache", "--json", "out.json", *more)
        printed = benchmark("quality", *options)
        return json.loads((tmp_path / "out.json").read_bytes()), printed

    return call


def test_every_method_is_scored_with_every_boundary(quality: Any, tmp_path: Path) -> None:
    found, printed = quality()
    named = {(row["method"], row["boundary"]) for row in found["rows"]}
    methods = ("cam", "random_walk", "uss", "paper", "released", "default", "default, rounds 1")
    assert {(name, kind) for name in methods for kind in ("none", "pamr", "crf")} <= named
    for row in found["rows"]:
        assert row.keys() >= COLUMNS and f"| {row['method']} | {row['boundary']} |" in printed
        assert all(0 <= row[key] <= 100 for key in COLUMNS - {"ms"}) and row["ms"] > 0
    assert set(found["curves"]) == {"eps", "tau", "rounds", "survey", "survey_rounds"}
    assert -1 <= found["rank_correlation"] <= 1
    for plot in ("rows", "curves", "calibration"):
        with Image.open(tmp_path / f"out.{plot}.png") as picture:
            assert len(picture.convert("L").getcolors() or ()) > 2  # not blank


def test_what_the_networks_saw_is_kept_until_it_is_damaged(quality: Any, tmp_path: Path) -> None:
    few = ("--methods", "default", "--boundaries", "none", "--no-curves")
    first, _ = quality(*few)
    (folder,) = (tmp_path / "cache").iterdir()
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    assert len(kept) == 5
    again, _ = quality(*few)
    assert first["maps_s"] > again["maps_s"] == 0
    damaged, *others = kept
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    mended, _ = quality(*few)
    assert damaged.read_bytes() == whole
    assert all(path.stat().st_mtime_ns == kept[path] for path in others)
    without_ms = [
        [{key: row[key] for key in COLUMNS - {"ms"}} for row in one["rows"]] for one in (first, again, mended)
    ]
    assert without_ms[0] == without_ms[1] == without_ms[2]

    tags = tmp_path / "data" / "tags.csv"
    tags.write_text("\n".join(tags.read_text().splitlines()[:-1]))  # other photographs: other maps
    assert quality(*few)[0]["photographs"] == 4
    assert len(list((tmp_path / "cache").iterdir())) == 2
