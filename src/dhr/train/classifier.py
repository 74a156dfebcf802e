"""Training the tag classifier (L_cls of Eq. 6) on tags alone, resumable after each epoch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import multilabel_soft_margin_loss

from dhr.data.samples import DataSet, Sample
from dhr.models.modes import freeze_statistics
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress
from dhr.train.config import ClassifierConfig
from dhr.train.crops import RandomCrops, jittered
from dhr.train.fitting import fit


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
