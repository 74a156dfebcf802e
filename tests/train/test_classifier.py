from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dhr.data import SceneDataSet
from dhr.errors import ConfigError, OutputError
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Step, silent
from dhr.train.checkpoint import read_state
from dhr.train.classifier import ClassifierConfig, _TagCrops, train_classifier
from dhr.train.colours import coloured
from dhr.train.crops import TrainingSet
from dhr.train.fitting import batches

SCENES = SceneDataSet(6, seed=0, size=(48, 64))
CONFIG = ClassifierConfig(epochs=3, batch=4, crop=32, lr=1e-3, head_lr=1e-2, save_minutes=0.0)


def fresh(seed: int = 0) -> TagClassifier:
    torch.manual_seed(seed)
    model = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), len(SCENES.classes.foreground))
    return model.to(memory_format=torch.channels_last)


def train(model: TagClassifier, checkpoint: Path, **more: Any) -> dict[str, Tensor]:
    options = {"freeze_norm": False, "progress": silent, **more}
    photographs = TrainingSet(SCENES, SCENES.samples, 64, options.pop("seed", 0))
    train_classifier(model, photographs, options.pop("config", CONFIG), checkpoint=checkpoint, **options)
    return model.state_dict()


def _step(checkpoint: Path) -> int:
    return read_state(checkpoint, torch.device("cpu")).step


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class StopError(Exception):
    """Ends a training from its progress."""


@pytest.mark.parametrize("photographs", [0, 1, 6, 7, 12])
def test_an_interrupted_training_ends_with_the_same_weights(photographs: int, tmp_path: Path) -> None:
    whole = train(fresh(), tmp_path / "whole.pt")

    def stop(step: Step) -> None:
        assert step.total == 18
        if step.done >= photographs:
            raise StopError

    model = fresh()
    with pytest.raises(StopError):
        train(model, tmp_path / "part.pt", progress=stop)
    saved = (tmp_path / "part.pt").exists()
    assert saved is (photographs > 0)
    resumed = fresh(seed=5 if saved else 0)  # whatever the model was, the checkpoint has all of it
    assert same(train(resumed, tmp_path / "part.pt"), whole)


@pytest.mark.parametrize(("minutes", "written"), [(0.0, range(7)), (1000.0, [0, 0, 0, 0, 0, 0, 6])])
def test_checkpoints_come_by_minutes_and_at_the_end(minutes: float, written: Any, tmp_path: Path) -> None:
    seen = []

    def note(step: Step) -> None:
        path = tmp_path / "a.pt"
        seen.append((step.done, _step(path) if path.exists() else 0))

    train(fresh(), tmp_path / "a.pt", config=replace(CONFIG, save_minutes=minutes), progress=note)
    assert seen == list(zip([0, 4, 6, 10, 12, 16, 18], written, strict=True))


def test_the_seed_decides(tmp_path: Path) -> None:
    first = train(fresh(), tmp_path / "a.pt")
    assert same(train(fresh(), tmp_path / "b.pt"), first)
    assert not same(train(fresh(), tmp_path / "c.pt", seed=1), first)


def test_it_learns(tmp_path: Path) -> None:
    def loss(model: TagClassifier) -> float:
        crops = _TagCrops(TrainingSet(SCENES, SCENES.samples, 64, 99), CONFIG)
        pixels, colours, tags = zip(*(crops.item(0, index) for index in range(len(crops))), strict=True)
        with torch.no_grad():
            logits = model.eval()(coloured(torch.stack(pixels), torch.stack(colours)))
        return float(torch.nn.functional.multilabel_soft_margin_loss(logits, torch.stack(tags)))

    model = fresh()
    before = loss(model)
    train(model, tmp_path / "a.pt", config=ClassifierConfig(epochs=12, batch=6, crop=32, lr=3e-3, head_lr=3e-2))
    assert not model.training
    assert loss(model) < 0.8 * before


@pytest.mark.parametrize("freeze", [True, False])
def test_batch_statistics_are_kept_if_asked(freeze: bool, tmp_path: Path) -> None:
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = train(model, tmp_path / "a.pt", freeze_norm=freeze)
    means = [name for name in before if name.endswith("running_mean")]
    assert means
    assert all(torch.equal(before[name], after[name]) is freeze for name in means)


def test_every_photograph_is_seen_once_an_epoch_in_another_order_each() -> None:
    orders = []
    for epoch in range(3):
        found = list(batches(10, 4, seed=0, epoch=epoch))
        assert [len(batch) for batch in found] == [4, 4, 2]
        order = [index for batch in found for index in batch]
        assert sorted(order) == list(range(10))
        orders.append(order)
    assert orders[0] != orders[1] != orders[2]
    assert list(batches(10, 4, seed=0, epoch=0)) == list(batches(10, 4, seed=0, epoch=0))


def test_crops_carry_their_tags_and_differ_by_epoch() -> None:
    crops = _TagCrops(TrainingSet(SCENES, SCENES.samples, 64, 0), CONFIG)
    pixels, colours, tags = crops.item(0, 2)
    assert pixels.shape == (32, 32, 3)
    assert tags.nonzero().flatten().tolist() == list(SCENES.samples[2].tags)
    again, later = crops.item(0, 2), crops.item(1, 2)
    assert torch.equal(again[0], pixels) and torch.equal(again[1], colours)
    assert not torch.equal(later[0], pixels) and not torch.equal(later[1], colours)


def test_a_damaged_checkpoint_is_an_error_of_ours(tmp_path: Path) -> None:
    train(fresh(), tmp_path / "a.pt")
    content = (tmp_path / "a.pt").read_bytes()
    for bad in (b"", b"text", content[: len(content) // 2]):
        (tmp_path / "a.pt").write_bytes(bad)
        with pytest.raises(OutputError, match=r"a\.pt is damaged .*; train again with --redo classifier"):
            train(fresh(), tmp_path / "a.pt")


def test_a_training_that_diverges_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"diverged by epoch .*lower --classifier\.lr"):
        train(fresh(), tmp_path / "a.pt", config=ClassifierConfig(epochs=4, batch=4, crop=32, lr=1e30, head_lr=1e30))


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": -1},
        {"batch": 0},
        {"crop": 0},
        {"scale": (0.0, 1.0)},
        {"scale": (2.0, 1.0)},
        {"workers": -1},
        {"save_minutes": -1.0},
        {"jitter": -0.1},
        {"lr": -1.0},
        {"head_lr": -1.0},
    ],
)
def test_settings_that_cannot_work_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        ClassifierConfig(**setting)
