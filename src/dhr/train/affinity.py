"""Training the heads of IRN (Ahn et al., CVPR 2019) on what the classifier's CAMs are sure of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import working_image
from dhr.errors import ConfigError
from dhr.models.wss.irn import IrnClassifier
from dhr.progress import Progress, Step
from dhr.train.crops import RandomCrops
from dhr.train.fitting import fit, mix
from dhr.train.relations import boundary_loss, confident_labels, displacement_loss


@dataclass(frozen=True)
class AffinityConfig:
    """How the heads of `wss.kind irn` are trained on the classifier's CAMs."""

    epochs: int = 3
    """Passes over the photographs."""
    batch: int = 8
    """Photographs a step."""
    crop: int = 288
    """Side in pixels of the square crops."""
    scale: tuple[float, float] = (0.9, 1.6)
    """Range of random sizes, relative to the working image, before the crop."""
    lr: float = 1e-2
    """Learning rate (AdamW, polynomial decay of power 0.9)."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    foreground: float = 0.3
    """Share of its peak, 0..1, from which the highest CAM names the class of a position."""
    margin: float = 0.3
    """Difference of such shares, 0..1, by which that CAM must lead the next one."""
    background: float = 0.05
    """Share of their peaks, 0..1, below which all CAMs name it background, where a data set has one."""
    refine: int = 10
    """Rounds of PAMR that make the CAMs follow the edges of the photograph first."""
    radius: int = 5
    """Distance within which positions are compared, in cells of the heads' grid (of 4 pixels, with most backbones)."""
    workers: int = 0
    """Processes that load photographs; 0 loads them in the main one. Results do not depend on it."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "crop", "radius"):
            if getattr(self, name) < 1:
                raise ConfigError(f"affinity.{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"affinity.scale must be two positive sizes, the smaller first; got {self.scale}")
        for name in ("lr", "weight_decay", "refine", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"affinity.{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.margin <= 1:
            raise ConfigError(f"affinity.margin must be in 0..1, got {self.margin}")
        if not (0 <= self.background <= self.foreground <= 1 and self.foreground > 0):
            raise ConfigError(
                "affinity.foreground must be above 0 and at most 1, affinity.background from 0 to it; "
                f"got {self.foreground} and {self.background}"
            )


def train_affinity(
    model: IrnClassifier,
    data: DataSet,
    samples: Sequence[Sample],
    config: AffinityConfig,
    *,
    long_side: int,
    seed: int,
    checkpoint: Path,
    progress: Progress,
) -> None:
    """Train the heads of ``model``, whose classifier is trained already; afterwards it is in evaluation mode.

    Encoder and classifier stay as they are. The heads begin anew, from ``seed``. After each epoch ``checkpoint`` holds
    them, the optimiser and the epoch; where it exists already, training goes on from it and ends with the same
    weights.

    Raises:
        ConfigError: the loss is no number any more.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
        ItemError: a photograph cannot be read.

    Args:
        samples: photographs of ``data`` to train on.
        long_side: see :class:`~dhr.data.transforms.ImageConfig`.
        progress: counts a first look at each photograph as one more epoch.
    """
    device = model.mean.device
    model.eval()
    count, whole = len(samples), (config.epochs + 1) * len(samples)
    background = config.background if data.classes.background else None
    peaks = _peaks(model, data, samples, long_side, lambda done: progress(Step("affinity", done, whole)))

    def loss(images: Tensor, highest: Tensor) -> Tensor:
        batch = images.to(device).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            levels = model.encode(batch)
            cams = model.classifier(levels[-1])
        logits, displacement = model.heads(levels)
        labels = confident_labels(
            cams,
            highest.to(device),
            batch,
            (logits.shape[-2], logits.shape[-1]),
            foreground=config.foreground,
            background=background,
            margin=config.margin,
            refine=config.refine,
        )
        return boundary_loss(logits, labels, config.radius) + displacement_loss(displacement, labels, config.radius)

    torch.manual_seed(mix(seed, config.epochs))  # no epoch has this number
    model.heads.reset()
    fit(
        model.heads,
        [(model.heads.parameters(), config.lr)],
        _TagCrops(data, samples, config, long_side, seed, peaks),
        loss,
        model.eval,
        epochs=config.epochs,
        batch=config.batch,
        workers=config.workers,
        weight_decay=config.weight_decay,
        seed=seed,
        checkpoint=checkpoint,
        progress=lambda step: progress(Step("affinity", count + step.done, whole)),
        stage="affinity",
        advice="lower --affinity.lr",
    )


@torch.no_grad()
def _peaks(
    model: IrnClassifier,
    data: DataSet,
    samples: Sequence[Sample],
    long_side: int,
    progress: Callable[[int], None],
) -> Float[Tensor, "n c"]:
    """Highest value of the CAM of each tagged class in each photograph, 0 for classes that it is not tagged with."""
    peaks = torch.zeros(len(samples), len(data.classes.foreground))
    for index, sample in enumerate(samples):
        progress(index)
        if not sample.tags:
            continue
        image = working_image(data.read_image(sample), long_side).unsqueeze(0).to(model.mean.device)
        cams = model.classifier(model.encode(image.contiguous(memory_format=torch.channels_last))[-1])
        tagged = [tag - data.classes.foreground.start for tag in sample.tags]
        peaks[index, tagged] = cams[0, tagged].amax(dim=(1, 2)).cpu()
    return peaks


class _TagCrops(RandomCrops):
    """Crops of photographs, with the peaks of the CAMs of the whole."""

    def __init__(
        self,
        data: DataSet,
        samples: Sequence[Sample],
        config: AffinityConfig,
        long_side: int,
        seed: int,
        peaks: Float[Tensor, "n c"],
    ) -> None:
        super().__init__(data, samples, config.crop, config.scale, long_side, seed)
        self.peaks = peaks

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, " c"]]:
        image, _ = self.crop(index)
        return image, self.peaks[index]
