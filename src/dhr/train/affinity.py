"""Training the heads of IRN (Ahn et al., CVPR 2019) on what the classifier's CAMs are sure of."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import working_image
from dhr.models.wss.irn import IrnClassifier
from dhr.progress import Progress, Step
from dhr.train.config import AffinityConfig
from dhr.train.crops import RandomCrops
from dhr.train.fitting import fit, mix
from dhr.train.relations import boundary_loss, confident_labels, displacement_loss


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
