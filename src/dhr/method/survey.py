"""The survey: what all photographs together say of the classes, beside what each says of itself."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from dhr.method.config import MethodConfig
from dhr.ops.discriminant import Discriminant, Moments
from dhr.ops.upsample import resize


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
