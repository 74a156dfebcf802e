"""Bounding boxes of the connected parts of a map."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d


def in_boxes(parts: Bool[Tensor, "b t u v"]) -> Bool[Tensor, "b t u v"]:
    """Return True inside the bounding box of any 8-connected part.

    >>> in_boxes(torch.eye(3, 4).bool().expand(1, 1, 3, 4))[0, 0].int()
    tensor([[1, 1, 1, 0],
            [1, 1, 1, 0],
            [1, 1, 1, 0]], dtype=torch.int32)
    """
    if parts.numel() == 0:
        return parts
    height, width = parts.shape[-2:]
    rows = torch.arange(height, device=parts.device, dtype=torch.float32).view(-1, 1).expand(height, width)
    columns = torch.arange(width, device=parts.device, dtype=torch.float32).expand(height, width)
    # Highest of: -top, -left, bottom, right, of what has been reached in the same part.
    reach = torch.stack([-rows, -columns, rows, columns]).expand(*parts.shape[:2], 4, height, width)
    reach = torch.where(parts.unsqueeze(2), reach, -torch.inf)
    while True:
        further = max_pool2d(reach.flatten(0, 2), 3, stride=1, padding=1).view(reach.shape)
        further = torch.where(parts.unsqueeze(2), further, -torch.inf)
        if torch.equal(further, reach):
            break
        reach = further
    inside = torch.zeros_like(parts)
    for image in range(parts.shape[0]):
        for tag in range(parts.shape[1]):
            for box in _boxes(reach[image, tag], parts[image, tag]):
                top, left, bottom, right = box
                inside[image, tag, -top : bottom + 1, -left : right + 1] = True
    return inside


def _boxes(reach: Float[Tensor, "4 u v"], part: Bool[Tensor, "u v"]) -> list[list[int]]:
    boxes: list[list[int]] = torch.unique(reach[:, part].T.long(), dim=0).tolist()
    return boxes
