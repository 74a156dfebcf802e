"""Clicks on a photograph: the thing that they show, by a network that segments anything."""

import numpy as np
import torch
from jaxtyping import Bool

from dhr.job.click import Click
from dhr.ops.upsample import resize
from dhr.prompts import Prompts, Propose

_OUTSIDE, _WORST = -20.0, -1.0  # logit and score that take the place of NaN


def clicked(propose: Propose, click: Click, working: tuple[int, int], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels of the thing: of the proposals, the one of which the network expects most.

    Args:
        propose: the network, for the one image of an embedding.
        click: a point or a box, at least.
        working: height and width of the image that was embedded.
        size: height and width of the photograph.
    """
    found = propose(0, _prompts(click, working, size))
    best = int(found.scores[0].nan_to_num(_WORST).argmax())
    logits = found.logits[:, best : best + 1].nan_to_num(_OUTSIDE)  # (1, 1, u, v)
    inside: Bool[np.ndarray, "h w"] = (resize(logits, size)[0, 0] > 0).cpu().numpy()
    return inside


def _prompts(click: Click, working: tuple[int, int], size: tuple[int, int]) -> Prompts:
    """Return the click in pixels of the working image."""
    (rows, columns), (height, width) = working, size
    scale = torch.tensor([columns / width, rows / height])
    points = labels = boxes = None
    if click.points:
        places = torch.tensor([[point[:2] for point in click.points]])  # (1, n, 2)
        points = ((places + 0.5) * scale - 0.5).clamp_min(0)
        labels = torch.tensor([[int(point[2]) for point in click.points]])  # (1, n)
    if click.box is not None:
        boxes = torch.tensor([click.box]) * scale.repeat(2)  # (1, 4)
    return Prompts(points, labels, boxes)
