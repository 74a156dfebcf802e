"""Training the tag classifier (L_cls of Eq. 6) on tags alone, resumable after each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import multilabel_soft_margin_loss

from dhr.data.samples import DataSet, Sample
from dhr.errors import ConfigError
from dhr.models.modes import freeze_statistics
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress
from dhr.train.crops import RandomCrops, jittered
from dhr.train.fitting import fit


@dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier is trained on the tags."""

    file: Path | None = None
    """A `classifier.safetensors` of another run, used instead of training one."""
    epochs: int = 8
    """Passes over the photographs."""
    batch: int = 16
    """Photographs a step."""
    crop: int = 288
    """Side in pixels of the square crops."""
    scale: tuple[float, float] = (0.9, 1.6)
    """Range of random sizes, relative to the working image, before the crop."""
    jitter: float = 0.3
    """Strength of random changes of brightness, contrast and saturation; hue changes a third as much."""
    lr: float = 3e-4
    """Learning rate of the backbone (AdamW, polynomial decay of power 0.9)."""
    head_lr: float = 3e-3
    """Learning rate of the classifier on top of it."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    freeze_norm: bool = True
    """Keep the batch statistics of pretrained weights; they are always learnt with `wss.weights none`."""
    workers: int = 0
    """Processes that load photographs; 0 loads them in the main one. Results do not depend on it."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "crop"):
            if getattr(self, name) < 1:
                raise ConfigError(f"classifier.{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"classifier.scale must be two positive sizes, the smaller first; got {self.scale}")
        for name in ("jitter", "lr", "head_lr", "weight_decay", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"classifier.{name} must not be negative, got {getattr(self, name)}")


def train_classifier(
    model: TagClassifier,
    data: DataSet,
    samples: Sequence[Sample],
    config: ClassifierConfig,
    *,
    freeze_norm: bool,
    long_side: int,
    seed: int,
    checkpoint: Path,
    progress: Progress,
) -> None:
    """Train ``model`` in place; afterwards it is in evaluation mode.

    After each epoch ``checkpoint`` holds model, optimiser and epoch; where it exists already, training goes on from
    it and ends with the same weights, as all randomness is a function of seed, epoch and sample.

    Raises:
        ConfigError: the loss is no number any more.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
        ItemError: a photograph cannot be read.

    Args:
        samples: photographs of ``data`` to train on.
        freeze_norm: keep batch normalisation in evaluation mode.
        long_side: see :class:`~dhr.data.transforms.ImageConfig`.
    """
    device = model.mean.device

    def prepare() -> None:
        model.train()
        if freeze_norm:
            freeze_statistics(model)

    def loss(images: Tensor, tags: Tensor) -> Tensor:
        batch = images.to(device).contiguous(memory_format=torch.channels_last)
        return multilabel_soft_margin_loss(model(batch), tags.to(device))

    fit(
        model,
        [(model.encoder.parameters(), config.lr), (model.classifier.parameters(), config.head_lr)],
        _TagCrops(data, samples, config, long_side, seed),
        loss,
        prepare,
        epochs=config.epochs,
        batch=config.batch,
        workers=config.workers,
        weight_decay=config.weight_decay,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
        stage="classifier",
        advice="lower --classifier.lr and --classifier.head_lr",
    )
    model.eval()


class _TagCrops(RandomCrops):
    """Crops of photographs in changed colours, with the tags of the whole as 0 or 1."""

    def __init__(
        self, data: DataSet, samples: Sequence[Sample], config: ClassifierConfig, long_side: int, seed: int
    ) -> None:
        super().__init__(data, samples, config.crop, config.scale, long_side, seed)
        self.jitter = config.jitter

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, " c"]]:
        image, rng = self.crop(index)
        tags = torch.zeros(len(self.data.classes.foreground))
        tags[[tag - self.data.classes.foreground.start for tag in self.samples[index].tags]] = 1
        return jittered(image, self.jitter, rng), tags
