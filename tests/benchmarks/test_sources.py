"""Sources alone and together, from generated scenes; and the made word model."""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dhr.data import SceneDataSet
from dhr.data.samples import ClassTable

ROOT = Path(__file__).parents[2]
MODULE = runpy.run_path(str(ROOT / "benchmarks" / "word_model.py"))
WordModel = MODULE["WordModel"]
SETTINGS = """
wss: {backbone: test_resnet, weights: none, scales: [1.0]}
classifier: {epochs: 2, batch: 3, crop: 32}
uss: {kind: colour, weights: none, scales: [1.0]}
"""
ROWS = (
    *("classifier", "word model", "word model, normalised", "mean", "combination"),
    *("combination, unknown left out", "combination, noise added"),
)


def test_every_combination_is_scored(tmp_path: Path, scenes: Any, benchmark: Any) -> None:
    data = scenes(tmp_path / "data", count=6)
    (tmp_path / "c.yaml").write_text(SETTINGS)
    options = ("--data", data, "--config", "c.yaml", "--cache", "cache", "--json", "out.json", "--boundary", "none")
    printed = benchmark("sources", *options)
    found = json.loads((tmp_path / "out.json").read_bytes())
    rows = {row["sources"]: row for row in found["rows"]}
    assert tuple(rows) == ROWS and all(f"{name}: mIoU" in printed for name in ROWS)
    assert all(0 <= row[key] <= 100 for row in rows.values() for key in ("miou", "minor_iou"))
    assert rows["combination"]["miou"] > rows["classifier"]["miou"], "an untrained classifier, and the ground truth"
    tagged = {row["class"] for row in found["classes"] if row["photographs"]}
    assert tagged and set(found["unknown"]) <= {row["class"] for row in found["classes"]}


def test_the_word_model_has_the_faults_that_it_is_made_for() -> None:
    classes = ClassTable(tuple(f"class {index}" for index in range(9)), background=False)
    model, truth = WordModel(classes), np.zeros((100, 100), np.uint8)
    truth[:, 50:] = 1
    truth[:10, :20] = 2  # 2 % of the photograph
    assert len(model.unknown) == 3
    names = [f"photograph {index}" for index in range(60)]
    maps = torch.stack([model.maps(name, truth, range(9), (20, 20)) for name in names])
    assert torch.equal(maps[0], model.maps(names[0], truth, range(9), (20, 20))), "the same every time"
    offsets, scales = maps.mean(dim=(0, 2, 3)), maps.std(dim=(0, 2, 3))
    assert float(offsets.max()) > 0 > float(offsets.min()) and float(scales.max()) > 3 * float(scales.min())
    for tag, inside in ((0, truth == 0), (1, truth == 1)):
        cells = torch.from_numpy(inside)[2::5, 2::5]
        lead = (maps[:, tag][:, cells].mean(dim=1) - maps[:, tag][:, ~cells].mean(dim=1)) / scales[tag]
        assert (float(lead.min()) > 1) == (tag not in model.unknown)
    if 2 not in model.unknown:
        peaks = (maps[:, 2, :2, :4].mean(dim=(1, 2)) - maps[:, 2, 10:, 10:].mean(dim=(1, 2))) / scales[2]
        missed = (peaks < peaks.max() / 2).float().mean()
        assert 0.3 < float(missed) < 0.7


def test_the_word_model_knows_generated_scenes() -> None:
    data = SceneDataSet(2, seed=0, size=(48, 64))
    for sample in data.samples:
        maps = WordModel(data.classes).maps(sample.name, data.read_ground_truth(sample), sample.tags, (6, 8))
        assert maps.shape == (len(sample.tags), 6, 8) and bool(maps.isfinite().all())
