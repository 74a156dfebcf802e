"""The benchmark for GPUs, small, on whatever device there is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAIRS = {"mobilenetv2_vit_tiny", "resnet50_vit_small", "resnet101_vit_base"}


@pytest.mark.slow
def test_every_part_gives_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/gpu.py"), "--small", "--device", "cpu", "--json", "f.json"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    found = json.loads((tmp_path / "f.json").read_bytes())
    assert not {name: part["error"] for name, part in found["parts"].items() if "error" in part}
    alike = found["agreement"]
    assert alike["masks"] > 0.99 and alike["crf"] > 0.99
    assert alike["crf_q"] < 1e-3 and alike["pamr"] < 1e-4 and alike["transport"] < 1e-3 and alike["gradients"] == 0
    assert found["same_bytes"] is True and found["waits"] is None
    for name in ("run_per_second", "predict_per_second"):
        assert set(found[name]) == PAIRS and min(found[name].values()) > 0
    assert set(found["busy"]) == PAIRS
    assert found["crf_per_second"] > 0 and found["pamr_per_second"] > 0 and found["steps_per_second"] > 0
    assert 0 < found["rebalance_share"] < 100


def test_a_part_that_fails_is_reported_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu
    import torch

    cpu = torch.device("cpu")
    late = gpu.in_a_process("waits", cpu, True, 0.01)
    assert late["error"] == "it took more than 0 s"
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(gpu.sys, "executable", "false")
    assert "error" in gpu.in_a_process("waits", cpu, True, 20)
    parts = {"waits": {"seconds": 1.0, "waits": None}, "crf": late, "resnet50_vit_small": {"run_per_second": 2.0}}
    assert gpu.joined(parts) == {"waits": None, "run_per_second": {"resnet50_vit_small": 2.0}}
