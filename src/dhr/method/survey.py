"""The survey: what all photographs together say of the classes, beside what each says of itself."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from dhr.method.base import labels
from dhr.method.config import MethodConfig
from dhr.ops.discriminant import Discriminant, Moments
from dhr.ops.upsample import resize

_TURNS = 4  # of raising the scores of classes that the survey leaves too little


def survey_features(uss: Float[Tensor, "1 d u v"], wss: Float[Tensor, "1 e _ _"]) -> Float[Tensor, "d+e n"]:
    """Both kinds of features on the grid of the first, each of unit length."""
    grid = (uss.shape[-2], uss.shape[-1])
    return torch.cat([normalize(uss), normalize(resize(wss, grid))], dim=1)[0].flatten(1)


def add_photograph(
    moments: Moments,
    features: Float[Tensor, "d n"],
    scores: Float[Tensor, "1 k u v"],
    ids: Int[Tensor, " k"],
) -> None:
    """Add a photograph as Steps 1 to 3 see it: each cell with the class of its highest score, by its lead.

    Args:
        features: :func:`survey_features`.
        scores: S_dhr.
        ids: class of the data set for each of the photograph's.
    """
    shares = scores[0].flatten(1)
    shares = shares / shares.sum(dim=0, keepdim=True).clamp_min(1e-12)
    best = shares.topk(min(2, len(shares)), dim=0)
    lead = best.values[0] - best.values[1] if len(shares) > 1 else best.values[0]
    moments.add(features, ids[best.indices[0]], lead)


@dataclass(frozen=True)
class Survey:
    """Discriminants of all classes of a data set, in :func:`survey_features`."""

    discriminant: Discriminant

    def to(self, device: torch.device) -> "Survey":
        """The same on a device."""
        return Survey(Discriminant(*(value.to(device) for value in vars(self.discriminant).values())))

    def shares(
        self,
        features: Float[Tensor, "d n"],
        ids: Int[Tensor, " k"],
        grid: tuple[int, int],
        config: MethodConfig,
    ) -> Float[Tensor, "1 k u v"]:
        """How far each cell is of each class of a photograph, summing to 1; all 0 where one of them is unknown."""
        logits = config.survey_sharpness * self.discriminant(features, ids)
        shares = torch.softmax(logits, dim=0) * self.discriminant.known[ids].min()
        return shares.view(1, -1, *grid)


def join(
    own: Float[Tensor, "b k u v"],
    survey: Float[Tensor, "b k u v"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
) -> Float[Tensor, "b k u v"]:
    """Mean by weight of the shares of own scores and survey, of one alone where the other has none.

    What other photographs say of a class may be wrong of this one, but that the class is in it is known. So a class
    keeps the area that its own scores gave it, up to ``config.smallest_ratio`` of the grid: where the survey would
    leave it less, its scores are raised by the least factor that gives it that much. (Classes that are raised may take
    cells from each other; after :data:`_TURNS` that is as it is.)

    Args:
        own: S_dhr.
        survey: :meth:`Survey.shares`, 0 for padding.
        valid: False for padding.
    """
    shares = own / own.sum(dim=1, keepdim=True).clamp_min(1e-12)
    here, there = ((one.sum(dim=1, keepdim=True) > 0).to(own.dtype) for one in (shares, survey))
    weight = there * (1 - here * (1 - config.survey))
    joined = shares * (1 - weight) + survey.to(own.dtype) * weight
    least = config.smallest_ratio * shares[0, 0].numel()
    goal = (_areas(shares, valid) * valid).clamp_max(least).ceil()
    for _ in range(_TURNS):
        factor = torch.where(_areas(joined, valid) < goal, _least_factor(joined, goal), 1)
        joined = joined * factor[:, :, None, None]
        joined = joined / joined.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return joined


def _areas(scores: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Cells where each class scores highest; those without any score count nowhere."""
    scored = (scores.sum(dim=1) > 0).flatten(1).to(scores.dtype)
    nothing = torch.zeros(valid.shape, dtype=scores.dtype, device=scores.device)
    return nothing.scatter_add(1, labels(scores, valid).flatten(1), scored)


def _least_factor(scores: Float[Tensor, "b k u v"], cells: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """What a class's scores must be multiplied by for it to lead in so many cells, if no other class's are."""
    flat = scores.flatten(2)
    best = flat.topk(min(2, flat.shape[1]), dim=1)
    first, second = best.values[:, :1], best.values[:, -1:]
    ids = torch.arange(flat.shape[1], device=flat.device).view(1, -1, 1)
    rival = torch.where(best.indices[:, :1] == ids, second, first)  # (b, k, n): the best of the others
    needed = (rival / flat.clamp_min(1e-12)).sort(dim=2).values
    at = (cells - 1).clamp_min(0).long().unsqueeze(2)
    return 1.0001 * needed.gather(2, at).squeeze(2)  # above, not level
