"""Training the heads of IRN (Ahn et al., CVPR 2019) at positions where the classifier's CAMs are confident."""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dhr.models.wss.irn import IrnClassifier
from dhr.progress import Progress, Step
from dhr.train.colours import coloured
from dhr.train.config import AffinityConfig
from dhr.train.crops import RandomCrops, TrainingSet
from dhr.train.fitting import Schedule, fit, mix
from dhr.train.relations import Confidence, boundary_loss, confident_labels, displacement_loss


def train_affinity(
    model: IrnClassifier, photographs: TrainingSet, config: AffinityConfig, *, checkpoint: Path, progress: Progress
) -> None:
    """Train the heads of ``model``, whose classifier is trained already; afterwards it is in evaluation mode.

    Encoder and classifier stay as they are. The heads start with random weights from the seed. Every few
    minutes ``checkpoint`` holds them, the optimiser and the step. If it exists already, training continues from it and
    ends with the same weights.

    Args:
        progress: the first look at the photographs counts as one more epoch.

    Raises:
        ConfigError: the loss became NaN or infinite, or memory ran out.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
        ItemError: a photograph cannot be read.
    """
    model.eval()
    whole = (config.epochs + 1) * len(photographs.samples)
    background = config.background if photographs.data.classes.background else None
    confidence = Confidence(config.foreground, background, config.margin, config.refine)
    peaks = _peaks(model, photographs, lambda done: progress(Step("affinity", done, whole, "crops")))

    def loss(pixels: Tensor, highest: Tensor) -> Tensor:
        batch = coloured(pixels)
        with torch.no_grad():
            levels = model.encode(batch)
            cams = model.classifier(levels[-1])
        logits, displacement = model.heads(levels)
        size = (logits.shape[-2], logits.shape[-1])
        labels = confident_labels(cams, highest, batch, size, confidence)
        return boundary_loss(logits, labels, config.radius) + displacement_loss(displacement, labels, config.radius)

    torch.manual_seed(mix(photographs.seed, config.epochs))  # no epoch has this number
    model.heads.reset()
    schedule = Schedule(
        "affinity",
        config.epochs,
        config.batch,
        photographs.seed,
        "lower --affinity.lr",
        "lower --affinity.batch or --affinity.crop",
        config.weight_decay,
        config.workers,
        before=1,
        minutes=config.save_minutes,
    )
    fit(
        model.heads,
        [(model.heads.parameters(), config.lr)],
        _PeakCrops(photographs, config, peaks),
        loss,
        schedule,
        checkpoint,
        progress,
    )


@torch.no_grad()
def _peaks(model: IrnClassifier, photographs: TrainingSet, progress: Callable[[int], None]) -> Float[Tensor, "n c"]:
    """Find the highest value of the CAM of each tagged class in each photograph; it is 0 for other classes."""
    peaks = torch.zeros(len(photographs.samples), len(photographs.data.classes.foreground))
    for index, sample in enumerate(photographs.samples):
        progress(index)
        if not sample.tags:
            continue
        image = coloured(torch.from_numpy(photographs.pixels(sample)[None]).to(model.mean.device))
        cams = model.classifier(model.encode(image)[-1])
        tagged = photographs.channels(sample)
        peaks[index, tagged] = cams[0, tagged].amax(dim=(1, 2)).cpu()
    return peaks


class _PeakCrops(RandomCrops):
    """Crops of photographs, with the peaks of the CAMs of the whole photograph."""

    def __init__(self, photographs: TrainingSet, config: AffinityConfig, peaks: Float[Tensor, "n c"]) -> None:
        super().__init__(photographs, config.crop, config.scale)
        self.peaks = peaks

    def item(self, epoch: int, index: int) -> tuple[UInt8[Tensor, "s s 3"], Float[Tensor, " c"]]:
        """See :class:`~dhr.train.fitting.EpochDataset`."""
        pixels, _ = self.crop(epoch, index)
        return pixels, self.peaks[index]
