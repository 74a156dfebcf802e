"""Training and evaluation mode of the modules of a network."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_NEED_INPUT = (nn.Hardtanh, nn.Hardswish, nn.SiLU)  # ReLU6 is a Hardtanh


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


@contextmanager
def out_of_place(network: nn.Module) -> Iterator[None]:
    """Let activations of ``network`` leave their input as it is in the block, where this saves time in training.

    The gradients of these functions need the input, so autograd would copy it before they overwrite it.
    """
    changed = [one for one in network.modules() if isinstance(one, _NEED_INPUT) and one.inplace]
    for one in changed:
        one.inplace = False
    try:
        yield
    finally:
        for one in changed:
            one.inplace = True


def freeze_statistics(network: nn.Module) -> None:
    """Put the batch norms of ``network`` into evaluation mode: their statistics stay as they are."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
