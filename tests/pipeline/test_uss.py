"""``dhr uss train``: from photographs to a head that ``dhr run`` takes; killed, and with bad photographs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from dhr.errors import OutputError
from dhr.models.uss import UssConfig
from dhr.pipeline.uss import HeadTraining, train_head
from dhr.train.head_config import HeadConfig, StegoConfig

NETWORK = ["--uss.model", "test_vit", "--uss.weights", "none", "--uss.scales", "[1.0]"]
HEAD = [*NETWORK, "--head.epochs", "2", "--head.pieces", "2", "--head.side", "64", "--head.code", "5"]


def call(data: Path, out: Path, *more: str) -> list[str]:
    return ["uss", "train", "--kind", "stego", "--data", str(data), "--out", str(out), *HEAD, *more]


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
    ended = dhr([*fresh.run(*NETWORK), "--uss.kind", "stego", "--uss.head", str(head), "--uss.weights", "none"])
    assert ended.code == 2  # random weights are others at each call
    assert "was trained on another network" in ended.err


def config(**head: Any) -> HeadTraining:
    return HeadTraining(
        "stego",
        UssConfig(model="test_vit", weights="none", scales=(1.0,)),
        HeadConfig(epochs=3, pieces=2, side=64, code=5, batch=4, **head),
        StegoConfig(cells=20),
    )


class KilledError(Exception):
    pass


@pytest.mark.parametrize("stop", ["features", "head"])
def test_killed_and_resumed_it_ends_with_the_same_head(stop: str, fresh: Any, tmp_path: Path) -> None:
    whole = train_head(fresh.data, None, tmp_path / "whole", config())
    expected = load_file(whole.head)

    def kill(stage: str, done: int, total: int) -> None:
        if stage == stop and done > total // 2:
            raise KilledError

    with pytest.raises(KilledError):
        train_head(fresh.data, None, tmp_path / "part", config(), kill)
    resumed = load_file(train_head(fresh.data, None, tmp_path / "part", config()).head)
    assert expected.keys() == resumed.keys()
    for key, value in expected.items():
        assert value.equal(resumed[key]), key
    assert not (tmp_path / "part" / "work" / "head.pt").exists()


def test_features_that_are_not_kept_give_the_same_head(fresh: Any, tmp_path: Path) -> None:
    kept = train_head(fresh.data, None, tmp_path / "kept", config()).head
    computed = train_head(fresh.data, None, tmp_path / "computed", config(memory_mb=0)).head
    assert kept.read_bytes() == computed.read_bytes()


def test_another_training_is_not_continued(fresh: Any, tmp_path: Path) -> None:
    train_head(fresh.data, None, tmp_path / "head", config())
    with pytest.raises(OutputError, match=r"lr"):
        train_head(fresh.data, None, tmp_path / "head", config(lr=0.5))
