"""Training the heads of IRN: what it learns, what it leaves alone, and that it can be resumed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from dhr.data import SceneDataSet
from dhr.data.samples import ClassTable
from dhr.data.transforms import working_image
from dhr.errors import ConfigError, OutputError
from dhr.models.wss import WssConfig
from dhr.models.wss.irn import IrnClassifier
from dhr.progress import Step, silent
from dhr.train.affinity import AffinityConfig, train_affinity
from dhr.train.classifier import ClassifierConfig, train_classifier
from dhr.train.crops import TrainingSet

SCENES = SceneDataSet(6, seed=0, size=(48, 64))
CONFIG = AffinityConfig(epochs=3, batch=4, crop=48, radius=3, save_minutes=0.0)


class WithBackground(SceneDataSet):
    """Scenes whose first class counts as the background."""

    @property
    def classes(self) -> ClassTable:
        return ClassTable(names=("background", *super().classes.names[1:]), background=True)


def fresh(seed: int = 0, data: SceneDataSet = SCENES) -> IrnClassifier:
    torch.manual_seed(seed)
    model = IrnClassifier(WssConfig(kind="irn", backbone="test_resnet", weights="none"), len(data.classes.foreground))
    with torch.no_grad():
        model.classifier.weight.mul_(100)  # CAMs of both signs, that differ from place to place
    return model.to(memory_format=torch.channels_last)


def train(model: IrnClassifier, checkpoint: Path, data: SceneDataSet = SCENES, **more: Any) -> dict[str, Tensor]:
    options = {"progress": silent, **more}
    photographs = TrainingSet(data, data.samples, 64, options.pop("seed", 0))
    train_affinity(model, photographs, options.pop("config", CONFIG), checkpoint=checkpoint, **options)
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class StopError(Exception):
    """Ends a training from its progress."""


def test_only_the_heads_are_trained(tmp_path: Path) -> None:
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = train(model.train(), tmp_path / "a.pt")
    assert not any(module.training for module in model.modules())
    for name, value in before.items():
        assert torch.equal(after[name], value) is not name.startswith("heads."), name
    assert all(parameter.grad is None for parameter in model.encoder.parameters())


@pytest.mark.parametrize("photographs", [1, 6, 7, 12, 18])
def test_an_interrupted_training_ends_with_the_same_weights(photographs: int, tmp_path: Path) -> None:
    whole = train(fresh(), tmp_path / "whole.pt")

    def stop(step: Step) -> None:
        assert step.total == 24
        if step.done >= photographs:
            raise StopError

    model = fresh()
    with pytest.raises(StopError):
        train(model, tmp_path / "part.pt", progress=stop)
    saved = (tmp_path / "part.pt").exists()
    assert saved is (photographs > 6)  # six to look at
    torch.manual_seed(photographs)
    resumed = fresh()
    resumed.heads.reset()  # whatever they were
    assert same(train(resumed, tmp_path / "part.pt"), whole)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = train(fresh(), tmp_path / "a.pt")
    content = (tmp_path / "a.pt").read_bytes()
    assert same(train(fresh(), tmp_path / "a.pt"), first)
    assert (tmp_path / "a.pt").read_bytes() == content


def test_progress_counts_up_to_its_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    train(fresh(), tmp_path / "a.pt", progress=lambda step: seen.append((step.done, step.total)))
    assert {total for _, total in seen} == {24}
    counts = [done for done, _ in seen]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == 24


def test_the_seed_decides(tmp_path: Path) -> None:
    first = train(fresh(), tmp_path / "a.pt")
    assert same(train(fresh(), tmp_path / "b.pt"), first)
    assert not same(train(fresh(), tmp_path / "c.pt", seed=1), first)


def test_workers_make_no_difference(tmp_path: Path) -> None:
    config = AffinityConfig(epochs=1, batch=4, crop=48, radius=3, workers=1)
    alone = AffinityConfig(epochs=1, batch=4, crop=48, radius=3)
    assert same(train(fresh(), tmp_path / "a.pt", config=config), train(fresh(), tmp_path / "b.pt", config=alone))


def test_a_background_is_learnt_where_there_is_one(tmp_path: Path) -> None:
    data = WithBackground(6, seed=0, size=(48, 64))
    tagged = [sample for sample in data.samples if 0 not in sample.tags]
    assert len(tagged) >= 2

    def heads(background: float) -> dict[str, Tensor]:
        config = AffinityConfig(epochs=1, batch=4, crop=48, radius=3, background=background)
        model = fresh(data=data)
        path = tmp_path / f"{background}.pt"
        train_affinity(model, TrainingSet(data, tagged, 64, 0), config, checkpoint=path, progress=silent)
        return model.state_dict()

    assert not same(heads(0.0), heads(0.3))


@dataclass(frozen=True)
class Apart:
    """Boundary probabilities on true borders of classes, and four pixels or more from any."""

    high: float
    low: float
    area: float
    """Under the ROC curve: how often one is higher on a border than the other inside."""


def told_apart(model: IrnClassifier) -> Apart:
    scenes = SceneDataSet(10, seed=2, size=(64, 80))
    on, inside = [], []
    for sample in scenes.samples:
        edges = model.eval().maps(working_image(scenes.read_image(sample), 80)[None]).edges
        assert edges is not None
        truth = torch.from_numpy(scenes.read_ground_truth(sample)).float()[None, None]
        border = (-max_pool2d(-truth, 3, 1, 1) != max_pool2d(truth, 3, 1, 1)).float()
        near = max_pool2d(max_pool2d(border, 9, 1, 4), 4) > 0  # of the stride of the edges
        on.append(edges[max_pool2d(border, 4) > 0])
        inside.append(edges[~near])
    high, low = torch.cat(on), torch.cat(inside)
    return Apart(float(high.mean()), float(low.mean()), float((high[:, None] > low[None]).float().mean()))


def test_boundaries_are_found_on_scenes(tmp_path: Path) -> None:
    """From nothing but tags: a small classifier, its CAMs, then the heads, and scenes that none of them has seen."""
    scenes = SceneDataSet(80, seed=1, size=(64, 80))
    torch.manual_seed(0)
    model = IrnClassifier(WssConfig(kind="irn", backbone="test_resnet", weights="none"), len(scenes.classes.names))
    model.to(memory_format=torch.channels_last)
    photographs, options = TrainingSet(scenes, scenes.samples, 80, 0), {"progress": silent}
    tags = ClassifierConfig(epochs=15, batch=12, crop=64, scale=(1.0, 1.2), jitter=0.1, lr=3e-3, head_lr=3e-3)
    train_classifier(model, photographs, tags, freeze_norm=False, checkpoint=tmp_path / "classifier.pt", **options)
    config = AffinityConfig(epochs=6, batch=12, crop=64, scale=(1.0, 1.2), radius=4)
    train_affinity(model, photographs, config, checkpoint=tmp_path / "affinity.pt", **options)
    found, random = told_apart(model), told_apart(fresh(data=scenes))
    assert found.high > found.low + 0.25 and found.area > 0.82
    assert abs(random.high - random.low) < 0.1


def test_a_damaged_checkpoint_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"half of it")
    with pytest.raises(OutputError, match=r"a\.pt is damaged"):
        train(fresh(), tmp_path / "a.pt")


def test_a_training_that_diverges_is_an_error_of_ours(tmp_path: Path) -> None:
    config = AffinityConfig(epochs=4, batch=4, crop=48, radius=3, lr=1e30)
    with pytest.raises(ConfigError, match=r"diverged by epoch .*lower --affinity\.lr"):
        train(fresh(), tmp_path / "a.pt", config=config)


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0},
        {"batch": 0},
        {"crop": 0},
        {"radius": 0},
        {"scale": (0.0, 1.0)},
        {"scale": (2.0, 1.0)},
        {"workers": -1},
        {"refine": -1},
        {"lr": -1.0},
        {"weight_decay": -1.0},
        {"margin": 1.1},
        {"margin": -0.1},
        {"foreground": 1.1},
        {"foreground": 0.0, "background": 0.0},
        {"background": -0.1},
        {"background": 0.5, "foreground": 0.4},
    ],
)
def test_settings_that_cannot_work_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        AffinityConfig(**setting)
