"""The survey: evidence from all photographs of a data set for each of them.

Two classes that are nearly always tagged together, such as a face and a body, look the same to a classifier of tags.
Other photographs can decide. A linear discriminant is fitted to all photographs. It labels each of them better, and is
then fitted again to the better labels. This is self-training (expectation maximisation with hard labels).

Masks that a person accepted or mended are certain. Their cells keep the person's labels in every round, and count up
to :data:`~dhr.method.survey_fit.CERTAIN` times as much.

One discriminant does not fit every class (a "kitchen" has too many appearances), so a survey needs trust: it must find
the classes where they are tagged, and only there. And maps may be bad, so they need the agreement of other photographs.
The weight of the survey follows from both. They are measured without ground truth, on photographs to which the
discriminants were not fitted.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor
from torch.nn.functional import normalize

from dhr.method.base import shares
from dhr.method.config import MethodConfig
from dhr.method.guard import FLOOR, areas, raised
from dhr.method.swaps import Swap
from dhr.ops.discriminant import Discriminant
from dhr.ops.random_walk import feature_affinity, random_walk, transition

# Chosen on the validation splits of MSRC v2 and overhead (docs/measurements.md).
_RADIUS, _COLOUR, _STEPS = 3, 0.2, 16
_SURE = 0.4  # trust from which a survey has all of its weight


@dataclass(frozen=True)
class Survey:
    """Discriminants of all classes of a data set, in :func:`survey_features`."""

    discriminant: Discriminant
    trust: float
    """Whether discriminants of other photographs follow the tags, 0..1 (:func:`~dhr.method.survey_fit.contrast`)."""
    agreement: Float64[Tensor, " c"]
    """Whether the scores of Steps 1 to 3 agree with discriminants of other photographs, by class, 0..1
    (:func:`~dhr.method.survey_fit.agreement`). Low values mean bad maps."""
    swaps: tuple[Swap, ...] = ()
    """Classes whose maps were exchanged (:mod:`dhr.method.swaps`)."""

    def to(self, device: torch.device) -> "Survey":
        """Move the discriminants to a device. The agreement stays where it is, so that no device is waited for."""
        return replace(self, discriminant=self.discriminant.to(device))

    def weighed(self, config: MethodConfig) -> MethodConfig:
        r"""Return the settings with the weight that this survey deserves beside the maps, chosen without ground truth.

        .. math:: w = (1 - (1 - w_0) \frac{1}{C} \sum_c \min(1, a_c / t)) \min(1, t / 0.4)

        with t the trust, a the agreement, and :math:`w_0` ``config.survey``. Where the maps are as good as the survey,
        it is :math:`w_0`; where other photographs contradict them, it rises to 1. Below a trust of 0.4 it falls to 0.
        """
        if not self.trust > 0:
            return replace(config, survey=0.0)
        return replace(config, survey=(1 - (1 - config.survey) * self.maps) * min(1.0, self.trust / _SURE))

    @property
    def maps(self) -> float:
        """How good the maps are beside the survey: the mean over the classes of min(1, a / t), as above."""
        return float((self.agreement / self.trust).clamp_max(1).mean()) if self.trust > 0 else 0.0

    def shares(
        self, features: Float[Tensor, "b d n"], ids: Int[Tensor, "b k"], valid: Bool[Tensor, "b k"]
    ) -> Float[Tensor, "b k n"]:
        """Return shares of the photograph's classes in each cell: softmax of the discriminants, 0 for padding.

        All shares are 0 in a photograph with a class that is missing in the survey.
        """
        logits = self.discriminant(features, ids)
        likely = torch.softmax(logits.masked_fill(~valid.unsqueeze(2), -torch.inf), dim=1)
        known = ((self.discriminant.known[ids] > 0) | ~valid).all(dim=1) & valid.any(dim=1)
        return torch.where(known[:, None, None], likely, 0)


def survey_features(uss: Float[Tensor, "b d u v"]) -> Float[Tensor, "b d n"]:
    """Return the directions of the USS features. WSS features would only repeat the evidence of the classifier."""
    return normalize(uss.flatten(2))


def settled(
    said: Float[Tensor, "b k u v"], features: Float[Tensor, "b d u v"], images: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b k u v"]:
    r"""Average what a survey says over positions that look alike: it decides what a region is, not where it ends.

    .. math:: P'_k \propto \exp(T^t \log P_k)

    with T the transition of a random walk between near positions of like features and colours
    (:mod:`dhr.ops.random_walk`). Positions where the survey says nothing stay as they are.

    Args:
        said: P, shares of the classes by a survey; 0 for padding.
        features: USS features on the same grid.
        images: RGB, 0..1, of any size.
    """
    spoken = said.sum(dim=1, keepdim=True) > 0
    there = (said > 0).flatten(2).any(dim=2)[:, :, None, None]
    affinity = feature_affinity(features, images, _RADIUS, _COLOUR)
    logs = said.clamp_min(FLOOR).log() * spoken
    walked = random_walk(transition(affinity), logs, _RADIUS, _STEPS)
    return torch.where(spoken & there, torch.softmax(walked.masked_fill(~there, -torch.inf), dim=1), 0)


def agreed(first: Float[Tensor, "b k n"], second: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
    """Join two kinds of evidence from other photographs: the geometric mean of their shares, as shares.

    Where one of them is 0 for all classes, the other counts alone. Shares below :data:`~dhr.method.guard.FLOOR` count
    as that.

    >>> agreed(torch.tensor([[[0.8], [0.2]]]), torch.tensor([[[0.2], [0.8]]])).flatten().tolist()
    [0.5, 0.5]
    """
    first, second = shares(first), shares(second)
    both = (first.clamp_min(FLOOR) * second.clamp_min(FLOOR)).sqrt() * (first + second > 0)
    speak = (first.sum(dim=1, keepdim=True) > 0) & (second.sum(dim=1, keepdim=True) > 0)
    return torch.where(speak, shares(both), first + second)


def join(
    own: Float[Tensor, "b k n"],
    survey: Float[Tensor, "b k n"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
) -> Float[Tensor, "b k n"]:
    r"""Join own scores and survey: the weighted geometric mean of their shares; where one is all 0, the other alone.

    .. math:: S_k \propto (S_{dhr,k} / \sum_l S_{dhr,l})^{1 - w} P_k^w

    (a logarithmic opinion pool: each can rule out a class.) Shares below :data:`~dhr.method.guard.FLOOR` count as that.

    The survey may be wrong about this photograph, but the tags are certain. So a class keeps the area that its own
    scores gave it, up to ``config.smallest_ratio`` of the cells: if the survey leaves it less, its scores are
    :func:`~dhr.method.guard.raised`.

    Args:
        own: S_dhr.
        survey: :meth:`Survey.shares`.
        valid: False for padding.
        config: settings.
    """
    own = shares(own)
    here, there = ((one.sum(dim=1, keepdim=True) > 0).to(own.dtype) for one in (own, survey))
    weight = there * (1 - here * (1 - config.survey))
    mine, theirs = (one.clamp_min(FLOOR).log() for one in (own, survey.to(own.dtype)))
    pooled = torch.exp(mine * (1 - weight) + theirs * weight)
    joined = shares(pooled * valid.unsqueeze(2) * (here + there).clamp_max(1))
    goal = (areas(own, valid) * valid).clamp_max(config.smallest_ratio * own.shape[2]).ceil()
    return raised(joined, valid, goal)
