"""Checkpoints: whole, without pickle, the last few kept."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dhr import files
from dhr.errors import OutputError
from dhr.train.checkpoint import Checkpoints

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_states_come_back_bit_by_bit(kind: str, tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    groups = [{"params": [network.weight], "lr": 0.1}, {"params": [network.bias], "lr": 0.2}]
    optimiser = torch.optim.SGD(groups, momentum=0.9) if kind == "sgd" else torch.optim.AdamW(groups, weight_decay=0.1)
    network(torch.rand(4, 3)).sum().backward()
    optimiser.step()
    kept = Checkpoints(tmp_path, 2)
    kept.write(7, {"network": network.state_dict(), "optimiser": optimiser.state_dict()}, {"seed": 0, "scale": (1, 2)})
    found = kept.read({"seed": 0, "scale": (1, 2)}, CPU)
    assert found is not None
    step, state = found
    assert step == 7
    assert all(torch.equal(value, state["network"][name]) for name, value in network.state_dict().items())
    before = optimiser.state_dict()
    optimiser.load_state_dict(state["optimiser"])
    after = optimiser.state_dict()
    assert before["param_groups"] == after["param_groups"]
    for index, values in before["state"].items():
        for name, value in values.items():
            same = after["state"][index][name]
            assert torch.equal(value, same) if isinstance(value, torch.Tensor) else value == same


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, 2)
    assert kept.read({}, CPU) is None
    for step in (1, 2, 30):
        kept.write(step, {"network": {"w": torch.full((2,), step)}}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000002.safetensors",
        "step-00000030.safetensors",
    ]
    found = kept.read({}, CPU)
    assert found is not None and found[0] == 30


@pytest.mark.parametrize("damage", ["cut", "empty", "other"])
def test_a_damaged_one_is_named(damage: str, tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, 3)
    for step in (1, 2):
        kept.write(step, {"network": {"w": torch.ones(100)}}, {})
    path = tmp_path / "step-00000002.safetensors"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-40], "empty": b"", "other": b"x" * 200}[damage])
    with pytest.raises(OutputError, match=r"step-00000002.*delete it, the training then goes on from the one before"):
        kept.read({}, CPU)
    path.unlink()
    found = kept.read({}, CPU)
    assert found is not None and found[0] == 1


def test_another_training_is_refused(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, 1)
    kept.write(1, {}, {"seed": 0, "lr": 0.1})
    with pytest.raises(OutputError, match=r"another training: lr differ"):
        kept.read({"seed": 0, "lr": 0.2}, CPU)


def test_a_full_disk_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Checkpoints(tmp_path, 1)
    kept.write(1, {"network": {"w": torch.ones(3)}}, {})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        kept.write(2, {"network": {"w": torch.ones(3)}}, {})
    found = kept.read({}, CPU)
    assert found is not None and found[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]
