"""Training the head of STEGO: cells with correlated features get correlated codes (Hamilton et al. 2022)."""

import random
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from dhr.models.uss.stego import StegoHead
from dhr.progress import Progress
from dhr.train.fitting import EpochDataset, Schedule, fit, mix
from dhr.train.frozen import SMALLER, FrozenCrops, drawn, neighbours_of
from dhr.train.head_config import HeadConfig, StegoConfig


def correlation_loss(
    features: Float[Tensor, "b n d"],
    others: Float[Tensor, "b m d"],
    codes: Float[Tensor, "b n c"],
    other_codes: Float[Tensor, "b m c"],
    shift: float,
) -> Float[Tensor, ""]:
    """-(F - shift) max(S, 0), the mean over pairs of cells (Eq. 4): F, S are cosines of features and of codes.

    F is first centred over the cells of the second map, and its mean restored ("spatial centring", Eq. 3). This gives
    small objects and large areas the same weight.
    """
    with torch.no_grad():
        cosine = normalize(features, dim=2) @ normalize(others, dim=2).transpose(1, 2)  # (b, n, m)
        mean = cosine.mean()
        centred = cosine - cosine.mean(dim=2, keepdim=True)
        centred = centred - centred.mean() + mean
    similar = (normalize(codes, dim=2) @ normalize(other_codes, dim=2).transpose(1, 2)).clamp_min(0)
    return -(similar * (centred - shift)).mean()


class _Pairs(EpochDataset):
    """Features of a crop and of a neighbour, which is drawn again in each epoch."""

    def __init__(self, crops: FrozenCrops, neighbours: Tensor, seed: int) -> None:
        self.crops, self.neighbours, self.seed = crops, neighbours.tolist(), seed

    def __len__(self) -> int:
        return len(self.crops)

    def source(self, index: int) -> str:
        """See :class:`~dhr.train.fitting.EpochDataset`."""
        return self.crops.source(index)

    def item(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """See :class:`~dhr.train.fitting.EpochDataset`."""
        rng = random.Random(mix(self.seed, epoch, index))
        return self.crops.features(index), self.crops.features(rng.choice(self.neighbours[index]))


def train_stego(
    crops: FrozenCrops,
    means: Float[Tensor, "n d"],
    shared: HeadConfig,
    config: StegoConfig,
    *,
    device: torch.device,
    checkpoint: Path,
    progress: Progress,
) -> StegoHead:
    """Train a head; if ``checkpoint`` exists, training continues from it and ends with the same weights.

    A crop is paired with itself, with a similar crop, and with others of its batch. Cells are drawn from the grid; the
    authors draw points between cells.

    Raises:
        ConfigError: the loss became NaN or infinite, or memory ran out.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
    """
    torch.manual_seed(mix(shared.seed))
    head = StegoHead(means.shape[1], shared.code, shared.dropout)
    head.centre.copy_(means.mean(dim=0))
    head.to(device)

    def loss(first: Tensor, second: Tensor) -> Tensor:
        features, again, near = drawn(first, config.cells), drawn(first, config.cells), drawn(second, config.cells)
        # (b, d, n, 1): dropout takes the same channels from all cells of a crop
        codes, codes_again, codes_near = (head(one.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
                                          for one in (features, again, near))  # fmt: skip
        features, again, near = (one - head.centre for one in (features, again, near))
        total = config.weight_self * correlation_loss(features, features, codes, codes, config.shift_self)
        total = total + config.weight_near * correlation_loss(features, near, codes, codes_near, config.shift_near)
        negatives = min(config.negatives, len(first) - 1)
        for step in range(1, negatives + 1):
            pair = correlation_loss(
                features, again.roll(step, 0), codes, codes_again.roll(step, 0), config.shift_random
            )
            total = total + config.weight_random / negatives * pair
        return total

    head.train()
    schedule = Schedule(
        "head", shared.epochs, shared.batch, shared.seed, "lower --head.lr", SMALLER, shared.weight_decay
    )
    pairs = _Pairs(crops, neighbours_of(means, shared.crops, config.neighbours), shared.seed)
    fit(head, [(head.parameters(), shared.lr)], pairs, loss, schedule, checkpoint, progress)
    return head.eval()
