"""Training the heads of IRN (Ahn et al., CVPR 2019) at positions where the classifier's CAMs are confident."""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.models.wss.irn import IrnClassifier
from dhr.progress import Progress, Step
from dhr.train.config import AffinityConfig
from dhr.train.crops import RandomCrops, TrainingSet
from dhr.train.fitting import Schedule, fit, mix
from dhr.train.relations import Confidence, boundary_loss, confident_labels, displacement_loss


def train_affinity(
    model: IrnClassifier, photographs: TrainingSet, config: AffinityConfig, *, checkpoint: Path, progress: Progress
) -> None:
    """Train the heads of ``model``, whose classifier is trained already; afterwards it is in evaluation mode.

    Encoder and classifier stay as they are. The heads start with random weights from the seed. After each epoch
    ``checkpoint`` holds them, the optimiser and the epoch. If it exists already, training continues from it and ends
    with the same weights.

    Args:
        progress: the first look at the photographs counts as one more epoch.

    Raises:
        ConfigError: the loss became NaN or infinite.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
        ItemError: a photograph cannot be read.
    """
    device = model.mean.device
    model.eval()
    whole = (config.epochs + 1) * len(photographs.samples)
    background = config.background if photographs.data.classes.background else None
    confidence = Confidence(config.foreground, background, config.margin, config.refine)
    peaks = _peaks(model, photographs, lambda done: progress(Step("affinity", done, whole, "crops")))

    def loss(images: Tensor, highest: Tensor) -> Tensor:
        batch = images.to(device).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            levels = model.encode(batch)
            cams = model.classifier(levels[-1])
        logits, displacement = model.heads(levels)
        size = (logits.shape[-2], logits.shape[-1])
        labels = confident_labels(cams, highest.to(device), batch, size, confidence)
        return boundary_loss(logits, labels, config.radius) + displacement_loss(displacement, labels, config.radius)

    torch.manual_seed(mix(photographs.seed, config.epochs))  # no epoch has this number
    model.heads.reset()
    schedule = Schedule(
        "affinity",
        config.epochs,
        config.batch,
        photographs.seed,
        "lower --affinity.lr",
        config.weight_decay,
        config.workers,
        before=1,
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
        image = photographs.image(sample).unsqueeze(0).to(model.mean.device)
        cams = model.classifier(model.encode(image.contiguous(memory_format=torch.channels_last))[-1])
        tagged = photographs.channels(sample)
        peaks[index, tagged] = cams[0, tagged].amax(dim=(1, 2)).cpu()
    return peaks


class _PeakCrops(RandomCrops):
    """Crops of photographs, with the peaks of the CAMs of the whole photograph."""

    def __init__(self, photographs: TrainingSet, config: AffinityConfig, peaks: Float[Tensor, "n c"]) -> None:
        super().__init__(photographs, config.crop, config.scale)
        self.peaks = peaks

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, " c"]]:
        image, _ = self.crop(index)
        return image, self.peaks[index]
