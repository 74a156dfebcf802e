"""Checkpoints: whole, without pickle, the last few kept."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dhr import files
from dhr.errors import OutputError
from dhr.progress import silent
from dhr.train.checkpoint import Checkpoints, load_network, load_optimiser, write_state
from dhr.train.fitting import EpochDataset, Schedule, fit

CPU = torch.device("cpu")
THREE = Schedule("classifier", epochs=3, batch=4, seed=0, advice="", smaller="", weight_decay=0.0)


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
    state = found.parts
    assert found.step == 7
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
    assert found is not None and found.step == 30


@pytest.mark.parametrize("damage", ["cut", "empty", "other"])
def test_a_damaged_one_is_named(damage: str, tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, 3)
    for step in (1, 2):
        kept.write(step, {"network": {"w": torch.ones(100)}}, {})
    path = tmp_path / "step-00000002.safetensors"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-40], "empty": b"", "other": b"x" * 200}[damage])
    with pytest.raises(OutputError, match=r"step-00000002.*delete it, .* continues from the one before"):
        kept.read({}, CPU)
    path.unlink()
    found = kept.read({}, CPU)
    assert found is not None and found.step == 1


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
    assert found is not None and found.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]


HOSTILE = {
    "deep": "[" * 100_000,
    "deep state": '{"step": 1, "about": {}, "rest": {"network": '
    + '{"list": [' * 400
    + '{"value": 1}'
    + "]}" * 400
    + "}}",
    "no object": "[]",
    "a step of text": '{"step": "1", "about": {}, "rest": {}}',
    "a step without end": '{"step": 1' + "0" * 400 + ', "about": {}, "rest": {}}',
    "a step below 0": '{"step": -1, "about": {}, "rest": {}}',
    "a list": '{"step": 1, "about": [], "rest": {}}',
    "a tensor that is not there": '{"step": 1, "about": {}, "rest": {"network": {"tensor": "gone"}}}',
    "a key that is a list": '{"step": 1, "about": {}, "rest": {"network": {"pairs": [[[1], {"value": 1}]]}}}',
    "nothing": "{}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_checkpoint_of_other_kinds_is_damaged(name: str, tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "step-00000001.safetensors", {"state": HOSTILE[name]})
    with pytest.raises(OutputError, match="is damaged") as error:
        Checkpoints(tmp_path, 2).read({}, CPU)
    assert len(str(error.value).splitlines()) == 1


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.0)
    network(torch.rand(4, 3)).sum().backward()
    optimiser.step()
    return network, optimiser


class Rows(EpochDataset):
    def __len__(self) -> int:
        return 4

    def item(self, epoch: int, index: int) -> tuple[torch.Tensor, ...]:
        return (torch.full((3,), float(index)),)

    def source(self, index: int) -> str:
        return str(index)


def steps_of(checkpoint: Path) -> int:
    """Go on from a checkpoint to the end of three steps; return how many were left."""
    network, losses = trained()[0], []

    def loss(rows: torch.Tensor) -> torch.Tensor:
        losses.append(network(rows).square().mean())
        return losses[-1]

    fit(network, [(network.parameters(), 0.1)], Rows(), loss, THREE, checkpoint, silent)
    return len(losses)


def nan(state: dict[str, Any]) -> None:
    state["state"][0]["exp_avg"][0, 0] = float("nan")


def shape(state: dict[str, Any]) -> None:
    state["state"][0]["exp_avg"] = torch.ones(7)


def rate(state: dict[str, Any]) -> None:
    state["param_groups"][0]["lr"] = float("inf")


def decay(state: dict[str, Any]) -> None:
    state["param_groups"][0]["weight_decay"] = "x"


def groups(state: dict[str, Any]) -> None:
    state["param_groups"] = 5


@pytest.mark.parametrize("change", [nan, shape, rate, decay, groups])
def test_the_state_of_an_optimiser_is_checked(change: Callable[[dict[str, Any]], None]) -> None:
    _, optimiser = trained()
    state = copy.deepcopy(optimiser.state_dict())
    load_optimiser(trained()[1], copy.deepcopy(state))
    change(state)
    with pytest.raises(ValueError, match=r"\w") as error:
        load_optimiser(trained()[1], state)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("state", [5, None, {}, {"weight": 1, "bias": 2}, {"weight": torch.ones(2, 3), "bias": 3}])
def test_a_state_that_is_none_is_refused(state: Any) -> None:
    network, _ = trained()
    with pytest.raises(ValueError, match=r"\w"):
        load_network(network, state)
    sound = trained()[0].state_dict()
    load_network(network, sound)
    with pytest.raises(ValueError, match="weight holds NaN"):
        load_network(network, {**sound, "weight": sound["weight"] * float("nan")})


@pytest.mark.parametrize(
    "content",
    [
        {"step": 99},
        {"step": -1},
        {"model": 5},
        {"optimiser": {}},
        {"parts": 0},
        {"model": {"weight": torch.full((2, 3), float("nan")), "bias": torch.ones(2)}},
        5,
    ],
)
def test_the_state_of_an_interrupted_training_is_checked(content: Any, tmp_path: Path) -> None:
    network, optimiser = trained()
    path = tmp_path / "work.pt"
    sound: dict[str, Any] = {"model": network.state_dict(), "optimiser": optimiser.state_dict(), "parts": 1}
    write_state(path, 1, sound, {})
    assert steps_of(path) == 2
    write_state(path, 1, sound, {})
    if isinstance(content, dict):
        write_state(path, content.get("step", 1), {**sound, **content}, {})
    else:
        torch.save(content, path)
    with pytest.raises(OutputError, match=r"work\.pt is damaged") as error:
        steps_of(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_pipe_in_the_place_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "work.pt")
    with pytest.raises(OutputError, match="named pipe"):
        steps_of(tmp_path / "work.pt")
    os.mkfifo(tmp_path / "step-00000001.safetensors")
    with pytest.raises(OutputError, match="named pipe"):
        Checkpoints(tmp_path, 2).read({}, CPU)
