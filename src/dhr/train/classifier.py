"""Training the tag classifier (L_cls of Eq. 6) on tags alone, resumable after each epoch."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import multilabel_soft_margin_loss

from dhr.models.modes import freeze_statistics
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress
from dhr.train.config import ClassifierConfig
from dhr.train.crops import RandomCrops, TrainingSet, jittered
from dhr.train.fitting import Schedule, fit


def train_classifier(
    model: TagClassifier,
    photographs: TrainingSet,
    config: ClassifierConfig,
    *,
    freeze_norm: bool,
    checkpoint: Path,
    progress: Progress,
) -> None:
    """Train ``model`` in place; afterwards it is in evaluation mode.

    After each epoch ``checkpoint`` holds model, optimiser and epoch. If it exists already, training continues from it
    and ends with the same weights.

    Args:
        freeze_norm: keep the statistics of batch normalisation.

    Raises:
        ConfigError: the loss became NaN or infinite.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
        ItemError: a photograph cannot be read.
    """
    device = model.mean.device
    model.train()
    if freeze_norm:
        freeze_statistics(model)

    def loss(images: Tensor, tags: Tensor) -> Tensor:
        batch = images.to(device).contiguous(memory_format=torch.channels_last)
        return multilabel_soft_margin_loss(model(batch), tags.to(device))

    schedule = Schedule(
        "classifier",
        config.epochs,
        config.batch,
        photographs.seed,
        "lower --classifier.lr and --classifier.head-lr",
        config.weight_decay,
        config.workers,
    )
    groups = [(model.encoder.parameters(), config.lr), (model.classifier.parameters(), config.head_lr)]
    fit(model, groups, _TagCrops(photographs, config), loss, schedule, checkpoint, progress)
    model.eval()


class _TagCrops(RandomCrops):
    """Crops in changed colours, with the tags of the whole photograph as 0 or 1."""

    def __init__(self, photographs: TrainingSet, config: ClassifierConfig) -> None:
        super().__init__(photographs, config.crop, config.scale)
        self.jitter = config.jitter

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, " c"]]:
        image, rng = self.crop(index)
        return jittered(image, self.jitter, rng), self.photographs.tag_vector(self.photographs.samples[index])
