"""Precision of a training."""

from contextlib import AbstractContextManager, nullcontext

import torch

from dhr.train.config import Precision


def is_lower(precision: Precision, device: torch.device) -> bool:
    """Return whether a training computes in bfloat16.

    `auto` does so on GPUs that have it. On CPUs the backward pass of depthwise convolutions takes longer in bfloat16
    than all else gains.
    """
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bf16"


def lower_precision(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Compute the block in bfloat16 where it gains; weights, gradients and losses keep 32 bits."""
    return torch.autocast(device.type, torch.bfloat16) if is_lower(precision, device) else nullcontext()
