"""Attention between the patches of a Vision Transformer, as an affinity that refines class maps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


@contextmanager
def averaged_attention(blocks: Sequence[Any]) -> Iterator[Callable[[], Float[Tensor, "b n n"]]]:
    """Record the attention of timm's ``blocks`` in the block; the yielded function returns its mean over all heads.

    Fused kernels never hold the attention as a whole, so they are switched off meanwhile.
    """
    total: list[Tensor] = []

    def note(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        mean = given[0].detach().float().mean(dim=1)  # (b, n, n)
        total[:] = [total[0] + mean if total else mean]

    with ExitStack() as stack:
        for block in blocks:
            stack.callback(setattr, block.attn, "fused_attn", block.attn.fused_attn)
            block.attn.fused_attn = False
            stack.callback(block.attn.attn_drop.register_forward_pre_hook(note).remove)
        yield lambda: total[0] / len(blocks)


def spread(cams: Float[Tensor, "b t u v"], between: Float[Tensor, "b n n"]) -> Float[Tensor, "b t u v"]:
    """Replace the value of each position by the mean of the positions that it attends to; other tokens are ignored.

    Args:
        cams: maps of classes, with u v = n' <= n positions.
        between: attention of each token to each other; the patches come last.
    """
    first = between.shape[-1] - cams.shape[2] * cams.shape[3]
    patches = between[:, first:, first:].to(cams.dtype)
    patches = patches / patches.sum(dim=2, keepdim=True).clamp_min(1e-12)
    return (cams.flatten(2) @ patches.transpose(1, 2)).view(cams.shape)


def doubly_stochastic(between: Float[Tensor, "b n n"], rounds: int = 3) -> Float[Tensor, "b n n"]:
    """Make an affinity with equal sums of rows and columns, nearly (Sinkhorn), made symmetric; as CLIP-ES refines maps.

    Args:
        between: attention, positive.
        rounds: how often columns, then rows, are divided by their sums.
    """
    for _ in range(rounds):
        between = between / between.sum(dim=1, keepdim=True).clamp_min(1e-12)
        between = between / between.sum(dim=2, keepdim=True).clamp_min(1e-12)
    return (between + between.transpose(1, 2)) / 2
