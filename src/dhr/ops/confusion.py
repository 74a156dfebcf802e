"""The confusion matrix of label maps: integer counts from which every score is derived."""

import math

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from dhr.errors import ShapeError


def confusion(
    pred: Integer[Tensor, "*batch h w"], truth: Integer[Tensor, "*batch h w"], classes: int, void: int = 255
) -> Int64[Tensor, "*batch classes columns"]:
    r"""Count how the pixels of each true class were labelled.

    :math:`M_{ij} = |\{p : truth_p = i,\ pred_p = j\}|` for :math:`j < C`, and :math:`M_{iC}` holds the pixels of class
    :math:`i` whose prediction is no class: ``void``, or any label outside ``0..C-1``. Such a pixel is a miss of its
    class and a false alarm of none. Pixels whose truth is ``void``, or no class, are not counted.

    Leading dimensions are kept: ``(B, h, w)`` gives one matrix an image, and their sum over ``B`` is the matrix of the
    batch. Exact (int64), deterministic, and without a host synchronisation.

    Args:
        pred: predicted labels, any integer type.
        truth: true labels, of the same shape and device.
        classes: C, at least 1.
        void: the label of no class.

    Returns:
        ``(*batch, C, C + 1)``; rows are the truth, columns the prediction, the last column "no class".

    Raises:
        ShapeError: the shapes differ, are not at least two-dimensional, or ``classes`` is below 1.

    >>> confusion(torch.tensor([[0, 1, 255, 1]]), torch.tensor([[0, 0, 1, 255]]), classes=2)
    tensor([[1, 1, 0],
            [0, 0, 1]])
    """
    if pred.shape != truth.shape or pred.ndim < 2:
        raise ShapeError(
            f"pred and truth must be label maps (..., h, w) of one shape, got {tuple(pred.shape)} and "
            f"{tuple(truth.shape)}; resize the prediction to the truth"
        )
    if classes < 1:
        raise ShapeError(f"classes must be at least 1, got {classes}")
    batch, columns = pred.shape[:-2], classes + 1
    flat = (math.prod(batch), pred.shape[-2] * pred.shape[-1])
    guesses, rows = pred.reshape(flat).long(), truth.reshape(flat).long()  # (B, hw)
    named = (guesses >= 0) & (guesses < classes) & (guesses != void)
    counted = (rows >= 0) & (rows < classes) & (rows != void)
    cells = rows * columns + torch.where(named, guesses, classes)
    # One more cell takes what is not counted: selecting by a mask, or bincount, would wait for the device.
    rest = classes * columns
    cells = torch.where(counted, cells, rest)
    counts = torch.zeros(flat[0], rest + 1, dtype=torch.int64, device=pred.device)
    counts.scatter_add_(1, cells, torch.ones((), dtype=torch.int64, device=pred.device).expand_as(cells))
    return counts[:, :-1].reshape(*batch, classes, columns)
