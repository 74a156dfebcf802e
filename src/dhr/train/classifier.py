"""Training the tag classifier (L_cls of Eq. 6) on tags alone, resumable after each epoch."""

import io
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, multilabel_soft_margin_loss
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as tv

from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import working_image
from dhr.errors import ConfigError, OutputError
from dhr.files import write_bytes
from dhr.models.wss.classifier import TagClassifier


@dataclass(frozen=True)
class TrainConfig:
    """How the classifier is trained on the tags."""

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
                raise ConfigError(f"train.{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"train.scale must be two positive sizes, the smaller first; got {self.scale}")
        for name in ("jitter", "lr", "head_lr", "weight_decay", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name} must not be negative, got {getattr(self, name)}")


Progress = Callable[[int, int], None]
"""Called with (photographs seen, photographs to see over all epochs)."""


def train_classifier(
    model: TagClassifier,
    data: DataSet,
    samples: Sequence[Sample],
    config: TrainConfig,
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
    crops = _Crops(data, samples, config, long_side, seed)
    steps = math.ceil(len(samples) / config.batch)
    total = config.epochs * steps
    groups = [
        {"params": model.encoder.parameters(), "lr": config.lr},
        {"params": model.classifier.parameters(), "lr": config.head_lr},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    first = _restore(checkpoint, model, optimiser, device)
    for epoch in range(first, config.epochs):
        model.train()
        if freeze_norm:
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        torch.manual_seed(_mix(seed, epoch))  # for networks with dropout
        crops.epoch = epoch
        progress(epoch * len(samples), config.epochs * len(samples))
        loader = DataLoader(
            crops, batch_sampler=list(_batches(len(samples), config.batch, seed, epoch)), num_workers=config.workers
        )
        for step, (images, tags) in enumerate(loader):
            decay = (1 - (epoch * steps + step) / total) ** 0.9
            for group, rate in zip(optimiser.param_groups, (config.lr, config.head_lr), strict=True):
                group["lr"] = rate * decay
            batch = images.to(device).contiguous(memory_format=torch.channels_last)
            loss = multilabel_soft_margin_loss(model(batch), tags.to(device))
            optimiser.zero_grad()
            if not math.isfinite(loss.item()):
                raise ConfigError(
                    f"the training diverged in epoch {epoch + 1} (loss {loss.item()}); "
                    "lower --train.lr and --train.head_lr"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            seen = epoch * len(samples) + min((step + 1) * config.batch, len(samples))
            progress(seen, config.epochs * len(samples))
        state = {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
        buffer = io.BytesIO()  # given a file, torch turns the error of a full disk into one of its own
        torch.save(state, buffer)
        write_bytes(checkpoint, buffer.getvalue())
    model.eval()


def _restore(checkpoint: Path, model: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device) -> int:
    """Load the last epoch's state, if there is one; the number of the epoch to go on with."""
    if not checkpoint.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file raises whatever its parser happens to raise
        raise OutputError(
            f"{checkpoint} is damaged ({type(error).__name__}); delete it, and the training starts anew"
        ) from error
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["epoch"])


def _mix(*numbers: int) -> int:
    """A seed from several numbers, different ones unrelated."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _batches(count: int, size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    order = np.random.default_rng(_mix(seed, epoch)).permutation(count).tolist()
    for start in range(0, count, size):
        yield order[start : start + size]


class _Crops(Dataset[tuple[Tensor, Tensor]]):
    """Randomly scaled, cropped, mirrored and coloured photographs, with their tags as 0 or 1."""

    def __init__(
        self, data: DataSet, samples: Sequence[Sample], config: TrainConfig, long_side: int, seed: int
    ) -> None:
        self.data, self.samples, self.config = data, samples, config
        self.long_side, self.seed, self.epoch = long_side, seed, 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, " c"]]:
        sample = self.samples[index]
        rng = random.Random(_mix(self.seed, self.epoch, index))
        image = working_image(self.data.read_image(sample), self.long_side)
        tags = torch.zeros(len(self.data.classes.foreground))
        tags[[tag - self.data.classes.foreground.start for tag in sample.tags]] = 1
        return _jitter(_crop(image, self.config, rng), self.config.jitter, rng), tags


def _crop(image: Tensor, config: TrainConfig, rng: random.Random) -> Tensor:
    side, scale = config.crop, rng.uniform(*config.scale)
    height, width = (max(side, round(length * scale)) for length in image.shape[-2:])
    resized = interpolate(image[None], (height, width), mode="bilinear", align_corners=False, antialias=True)[0]
    top, left = rng.randint(0, height - side), rng.randint(0, width - side)
    crop = resized[:, top : top + side, left : left + side]
    return crop.flip(-1) if rng.random() < 0.5 else crop


def _jitter(image: Tensor, strength: float, rng: random.Random) -> Tensor:
    if strength == 0:
        return image
    low, high = max(0.0, 1 - strength), 1 + strength
    image = tv.adjust_brightness(image.clamp(0, 1), rng.uniform(low, high))
    image = tv.adjust_contrast(image, rng.uniform(low, high))
    image = tv.adjust_saturation(image, rng.uniform(low, high))
    jittered: Tensor = tv.adjust_hue(image, rng.uniform(-1, 1) * min(0.5, strength / 3))
    return jittered
