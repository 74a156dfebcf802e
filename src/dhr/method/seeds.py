"""Step 1: seeds that bring back what the base mask has lost (paper, Eq. 2)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.ops.transport import Transport, transport

LOST = 0.5
"""A class has vanished from the base mask where it holds less than this part of the area that the seeds give it."""


def class_marginal(
    masks: Float[Tensor, "b k n"], valid: Bool[Tensor, "b k"], config: MethodConfig
) -> Float[Tensor, "b k"]:
    """q of the transports: the same share for every class, or the classes' shares of ``masks``, none below a least
    one."""
    uniform = valid.to(masks.dtype)
    if config.marginal == "uniform":
        ratios = uniform
    else:
        shares = masks.sum(dim=2) * uniform
        shares = shares / shares.sum(dim=1, keepdim=True).clamp_min(1e-8)
        ratios = torch.where(valid, shares.clamp_min(config.smallest_ratio).clamp_min(1e-6), 0)
    return ratios / ratios.sum(dim=1, keepdim=True).clamp_min(1e-12)


def initialise_seeds(
    cams: Float[Tensor, "b k n"], ratios: Float[Tensor, "b k"], valid: Bool[Tensor, "b k"], eps: float
) -> tuple[Float[Tensor, "b k n"], Transport]:
    """f_OT(A) * A (Eq. 2 before R_c), and the transport."""
    result = transport(cams, ratios, valid, eps=eps)
    return result.assignment * cams, result


def overwrite_base(
    base: Int[Tensor, "b h w"], seeds: Int[Tensor, "b h w"], valid: Bool[Tensor, "b k"], config: MethodConfig
) -> Int[Tensor, "b h w"]:
    """M_init: the base mask with the seeds of recovered classes written over it (paper, Section 3.2, Step 1).

    ``vanished`` compares areas: a class that the base mask leaves less than :data:`LOST` of its seeds' area is
    recovered.
    """
    if config.overwrite == "none":
        return base
    if config.overwrite == "all":
        return torch.where(seeds >= 0, seeds, base)
    recovered = torch.stack(
        [(base == k).sum(dim=(1, 2)) < LOST * (seeds == k).sum(dim=(1, 2)) for k in range(valid.shape[1])], dim=1
    )  # (b, k)
    wins = recovered.gather(1, seeds.clamp_min(0).flatten(1)).view_as(seeds)
    return torch.where(wins & (seeds >= 0), seeds, base)
