"""Training the tag classifier (L_cls of Eq. 6) on tags alone, resumable."""

from pathlib import Path

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import multilabel_soft_margin_loss

from dhr.models.modes import freeze_statistics, out_of_place
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress
from dhr.train.colours import coloured, drawn_colours
from dhr.train.config import ClassifierConfig
from dhr.train.crops import RandomCrops, TrainingSet
from dhr.train.fitted import fitted_classifier
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

    Every few minutes ``checkpoint`` holds model, optimiser and step. If it exists already, training continues from it
    and ends with the same weights.

    Args:
        freeze_norm: keep the statistics of batch normalisation.

    Raises:
        ConfigError: the loss became NaN or infinite, or memory ran out.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
        ItemError: a photograph cannot be read.
    """
    config = fitted_classifier(config, len(photographs.samples))
    model.train()
    if freeze_norm:
        freeze_statistics(model)

    def loss(pixels: Tensor, colours: Tensor, tags: Tensor) -> Tensor:
        return multilabel_soft_margin_loss(model(coloured(pixels, colours)).float(), tags)

    schedule = Schedule(
        "classifier",
        config.epochs,
        config.batch,
        photographs.seed,
        "lower --classifier.lr and --classifier.head-lr",
        "lower --classifier.batch or --classifier.crop",
        config.weight_decay,
        config.workers,
        divisible=True,
        precision=config.precision,
        minutes=config.save_minutes,
    )
    groups = [(model.encoder.parameters(), config.lr), (model.classifier.parameters(), config.head_lr)]
    with out_of_place(model):
        fit(model, groups, _TagCrops(photographs, config), loss, schedule, checkpoint, progress)
    model.eval()


class _TagCrops(RandomCrops):
    """Crops, with the colours that they are to get, and the tags of the whole photograph as 0 or 1."""

    def __init__(self, photographs: TrainingSet, config: ClassifierConfig) -> None:
        super().__init__(photographs, config.crop, config.scale)
        self.jitter = config.jitter

    def item(self, epoch: int, index: int) -> tuple[UInt8[Tensor, "s s 3"], Float[Tensor, "4"], Float[Tensor, " c"]]:
        """See :class:`~dhr.train.fitting.EpochDataset`."""
        pixels, rng = self.crop(epoch, index)
        tags = self.photographs.tag_vector(self.photographs.samples[index])
        return pixels, drawn_colours(self.jitter, rng), tags
