"""``dhr train-head``: from photographs to a head that ``dhr run`` takes; killed, and with bad photographs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from dhr.errors import OutputError
from dhr.job.head import train_head
from dhr.job.head_config import HeadTraining
from dhr.models.uss import UssConfig
from dhr.progress import Step
from dhr.train.head_config import CauseConfig, HeadConfig, StegoConfig

NETWORK = ["--uss.model", "test_vit", "--uss.weights", "none", "--uss.scales", "[1.0]"]
HEAD = [*NETWORK, "--head.epochs", "2", "--head.crops", "2", "--head.side", "64", "--head.code", "5"]


CAUSE = ["--cause.concepts", "12", "--cause.hidden", "16", "--cause.projection", "8", "--cause.cells", "10"]


def call(data: Path, out: Path, *more: str, kind: str = "stego") -> list[str]:
    return ["train-head", "--kind", kind, "--data", str(data), "--out", str(out), *HEAD, *more]


def test_a_head_is_trained_and_used(dhr: Any, fresh: Any, tmp_path: Path) -> None:
    (fresh.data / "images" / "broken.png").write_bytes(b"no image")
    shutil.copytree(fresh.data / "images", tmp_path / "plain")  # no tags, no truth
    ended = dhr(call(tmp_path / "plain", tmp_path / "head"))
    assert ended.code == 1, ended.err
    assert "broken.png" in ended.out + ended.err
    record = json.loads((tmp_path / "head" / "run.json").read_text())
    assert (record["status"], record["photographs"], len(record["skipped"])) == ("finished", 5, 1)
    head = tmp_path / "head" / "head.safetensors"
    before = head.read_bytes()
    assert dhr(call(tmp_path / "plain", tmp_path / "head")).code == 1
    assert head.read_bytes() == before
    (fresh.data / "images" / "broken.png").unlink()
    again = dhr(call(fresh.data, tmp_path / "again"))
    assert again.code == 0, again.err
    assert (tmp_path / "again" / "head.safetensors").read_bytes() == before, "tags and truth are not looked at"
    use = [*fresh.run(*NETWORK), "--uss.kind", "stego", "--uss.head", str(head)]
    ended = dhr([*use, "--seed", "1", "--out", str(tmp_path / "other")])  # random weights, of another seed
    assert ended.code == 2
    assert "was trained on another network" in ended.err
    ended = dhr(use)
    assert ended.code == 0, ended.err


def test_a_head_of_cause_is_trained_and_used(dhr: Any, fresh: Any, tmp_path: Path) -> None:
    network = ["--uss.weights", str(tmp_path / "vit.pth")]
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "vit.pth")
    ended = dhr(call(fresh.data, tmp_path / "head", *CAUSE, *network, kind="cause"))
    assert ended.code == 0, ended.err
    assert "--uss.kind cause" in ended.out
    head = ["--uss.kind", "cause", "--uss.head", str(tmp_path / "head" / "head.safetensors")]
    ended = dhr([*fresh.run(*NETWORK, *network, *head)])
    assert ended.code == 0, ended.err
    ended = dhr([*fresh.run(*NETWORK, *network, "--uss.kind", "stego", *head[2:], "--out", str(tmp_path / "no"))])
    assert ended.code == 2
    assert "is a head of uss.kind cause, not stego" in ended.err


def config(kind: str = "stego", **head: Any) -> HeadTraining:
    return HeadTraining(
        kind,
        UssConfig(model="test_vit", weights="none", scales=(1.0,)),
        HeadConfig(epochs=3, crops=2, side=64, code=5, batch=4, **head),
        StegoConfig(cells=20),
        CauseConfig(concepts=12, hidden=16, projection=8, cells=10, bank=3),
    )


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kind", ["stego", "cause"])
@pytest.mark.parametrize(("stop", "share"), [("features", 0.5), ("head", 0.2), ("head", 0.5), ("head", 0.9)])
def test_killed_and_resumed_it_ends_with_the_same_head(
    kind: str, stop: str, share: float, fresh: Any, tmp_path: Path
) -> None:
    whole = train_head(fresh.data, None, tmp_path / "whole", config(kind))
    expected = load_file(whole.head)

    def kill(step: Step) -> None:
        if step.stage == stop and step.done > step.total * share:
            raise KilledError

    with pytest.raises(KilledError):
        train_head(fresh.data, None, tmp_path / "part", config(kind), progress=kill)
    resumed = load_file(train_head(fresh.data, None, tmp_path / "part", config(kind)).head)
    assert expected.keys() == resumed.keys()
    for key, value in expected.items():
        assert value.equal(resumed[key]), key
    assert not list((tmp_path / "part" / "work").glob("*.checkpoint"))


def test_features_that_are_not_kept_give_the_same_head(fresh: Any, tmp_path: Path) -> None:
    kept = train_head(fresh.data, None, tmp_path / "kept", config()).head
    computed = train_head(fresh.data, None, tmp_path / "computed", config(memory_mb=0)).head
    assert kept.read_bytes() == computed.read_bytes()


def test_another_training_is_not_continued(fresh: Any, tmp_path: Path) -> None:
    train_head(fresh.data, None, tmp_path / "head", config())
    with pytest.raises(OutputError, match=r"lr"):
        train_head(fresh.data, None, tmp_path / "head", config(lr=0.5))
