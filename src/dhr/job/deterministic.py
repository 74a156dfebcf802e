"""The same bytes whenever the same work is done on the same device."""

import os

import torch


def make_deterministic() -> None:
    """Tell torch, in the whole process, to choose operations whose results do not vary.

    An operation without such a version is used all the same; torch then warns of it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
