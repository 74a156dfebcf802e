"""Made networks that segment anything: one that is as good as ground truth allows, and ones that are bad.

They answer the prompts that `boundary.kind sam` makes, so the joining can be measured without weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy import ndimage

from dhr.prompts import Prompts, Proposals, Propose

VOID = 255
_MASKS = 3  # per prompt, as a SAM's
_SURE = 6.0  # logit inside a mask; outside it is -_SURE
_NEAR = np.ones((3, 3), bool)


def instances(truth: Int[np.ndarray, "h w"]) -> list[Bool[np.ndarray, "h w"]]:
    """Connected parts of each class of the ground truth, without void."""
    found = []
    for label in np.unique(truth[truth != VOID]):
        parts, count = ndimage.label(truth == label, _NEAR)
        found += [parts == number for number in range(1, count + 1)]
    return found


@dataclass(frozen=True)
class Oracle:
    """Instances of the ground truth, eroded and merged at random; see :func:`oracle`."""

    things: list[Bool[np.ndarray, "h w"]]
    random: np.random.Generator
    erosion: float
    merging: float

    def __call__(self, index: int, prompts: Prompts) -> Proposals:
        """Answer each prompt with three versions of the instance under its point."""
        assert prompts.points is not None
        answers, scores = [], []
        for column, row in prompts.points[:, 0].round().long().tolist():
            here = [thing for thing in self.things if thing[row, column]]
            thing = here[0] if here else np.zeros_like(self.things[0])
            made = [self._version(thing) for _ in range(_MASKS)]
            answers.append(made)
            scores.append([float((one & thing).sum() / max(1, (one | thing).sum())) for one in made])
        logits = torch.from_numpy(np.array(answers)).float() * (2 * _SURE) - _SURE
        return Proposals(logits, torch.tensor(scores))

    def _version(self, thing: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
        if not thing.any():
            return thing
        most = self.erosion * np.sqrt(thing.sum())
        radius = int(self.random.uniform(0, most + 1))
        smaller: Bool[np.ndarray, "h w"] = ndimage.binary_erosion(thing, _NEAR, radius) if radius else thing
        made = smaller if smaller.any() else thing
        if self.random.random() < self.merging:
            around = ndimage.binary_dilation(thing, _NEAR, 3)
            beside = [one for one in self.things if one is not thing and (one & around).any()]
            if beside:
                made = made | beside[int(self.random.integers(len(beside)))]
        return made


def oracle(truth: Int[np.ndarray, "h w"], seed: int, erosion: float = 0.1, merging: float = 0.2) -> Propose:
    """Make a predictor that knows the ground truth of a photograph.

    Args:
        truth: labels of the size of the image.
        seed: of its errors.
        erosion: most pixels by which an instance is eroded, as a share of the root of its area.
        merging: probability that an instance comes with a neighbour.
    """
    return Oracle(instances(truth) or [np.zeros(truth.shape, bool)], np.random.default_rng(seed), erosion, merging)


def blobs(size: tuple[int, int], random: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """A mask of smooth noise, of any area and any number of parts."""
    noise = ndimage.gaussian_filter(random.standard_normal(size), random.uniform(0.03, 0.3) * max(size))
    mask: Bool[np.ndarray, "h w"] = noise > np.quantile(noise, random.uniform(0.05, 0.95))
    return mask


def rectangle(size: tuple[int, int], random: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """A rectangle of any size and place."""
    mask = np.zeros(size, bool)
    (top, bottom), (left, right) = (sorted(random.integers(0, length + 1, 2)) for length in size)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def bad(
    size: tuple[int, int],
    seed: int,
    draw: Callable[[tuple[int, int], np.random.Generator], Bool[np.ndarray, "h w"]] = blobs,
) -> Propose:
    """Make a predictor that answers with random masks, of which it is sure at random."""
    random = np.random.default_rng(seed)

    def propose(index: int, prompts: Prompts) -> Proposals:
        assert prompts.points is not None
        count = len(prompts.points)
        masks = np.array([[draw(size, random) for _ in range(_MASKS)] for _ in range(count)])
        scores = torch.from_numpy(random.uniform(0, 1, (count, _MASKS))).float()
        return Proposals(torch.from_numpy(masks).float() * (2 * _SURE) - _SURE, scores)

    return propose
