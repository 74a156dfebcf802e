"""Reproducible results: the same work on the same device gives the same bytes."""

import os

import torch


def make_deterministic() -> None:
    """Make torch choose deterministic operations, in the whole process.

    An operation without a deterministic version is used with a warning of torch.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms(True) imports the compiler, in a second
    torch.backends.cudnn.benchmark = False
