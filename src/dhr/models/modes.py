"""Training and evaluation mode of the modules of a network."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put ``network`` into evaluation mode for the block; afterwards each module has the mode that it had before.

    In training mode batch norms mix the images of a batch and update their statistics, and dropout is random.

    >>> network = nn.Dropout()
    >>> with evaluating(network):
    ...     network.training
    False
    >>> network.training
    True
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def freeze_statistics(network: nn.Module) -> None:
    """Put the batch norms of ``network`` into evaluation mode: their statistics stay as they are."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
