"""Reproducible results: the same work on the same device gives the same bytes."""

import os

import torch


def make_deterministic() -> None:
    """Make torch choose deterministic operations, in the whole process.

    An operation without a deterministic version is used with a warning of torch.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
