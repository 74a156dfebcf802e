"""Networks for inference alone: batch normalisation becomes a part of the convolution before it."""

import copy
from collections import Counter
from typing import Any, TypeVar

import torch
from torch import fx, nn

Network = TypeVar("Network")


def folded(network: Network) -> Network:
    """Return a network for inference with its batch normalisations folded: a copy, unless it has none."""
    if not (isinstance(network, nn.Module) and _has_norms(network)):
        return network
    found = copy.deepcopy(network)
    fold(found)
    return found


def fold(network: nn.Module) -> None:
    """Fold the batch normalisations of a network's encoders, which is for inference alone from then on.

    A normalisation with fixed statistics is linear, so a convolution before it can do its work: with the scale
    s = gamma / sqrt(var + eps), weights are s w and the bias is beta + s (b - mean). Results differ in the last bits.
    Encoders are the modules with a `feature_info`, as timm's. Those without such pairs, and those that
    ``torch.fx`` cannot follow, stay as they are.
    """
    for encoder in [one for one in network.eval().modules() if hasattr(one, "feature_info") and _has_norms(one)]:
        _fold(encoder)


def _has_norms(network: nn.Module) -> bool:
    return any(isinstance(one, nn.BatchNorm2d) for one in network.modules())


class _Tracer(fx.Tracer):
    """Follows a network down to its convolutions and normalisations, of any subclass."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def _fold(encoder: nn.Module) -> None:
    try:
        graph = _Tracer().trace(encoder)
    except Exception:  # networks raise any exception when they are followed; they only stay slower
        return
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        convolution, norm = (encoder.get_submodule(str(one.target)) for one in (before, node))
        if calls[before.target] == calls[node.target] == 1 and _foldable(convolution, norm):
            _join(convolution, norm)
            path, _, name = str(node.target).rpartition(".")
            setattr(encoder.get_submodule(path), name, _after(norm))


def _foldable(convolution: nn.Module, norm: nn.Module) -> bool:
    """Return whether the normalisation has fixed statistics, and follows a convolution whose rows are its channels."""
    known = isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return known and getattr(norm, "running_var", None) is not None and _after(norm) is not None


def _after(norm: Any) -> nn.Module | None:
    """Return what a normalisation does after it has normalised; None if that is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    if type(norm).__name__ == "BatchNormAct2d" and hasattr(norm, "drop") and hasattr(norm, "act"):  # of timm
        return nn.Sequential(norm.drop, norm.act)
    return None


@torch.no_grad()
def _join(convolution: Any, norm: Any) -> None:
    mean, scale = norm.running_mean.double(), (norm.running_var.double() + norm.eps).rsqrt()
    shift = torch.zeros_like(mean)
    if norm.affine:
        scale, shift = scale * norm.weight, norm.bias.double()
    bias = 0 if convolution.bias is None else convolution.bias
    weight = convolution.weight
    kind = weight.dtype
    convolution.weight = nn.Parameter((weight * scale.view(-1, 1, 1, 1)).to(kind), requires_grad=False)
    convolution.bias = nn.Parameter((shift + scale * (bias - mean)).to(kind), requires_grad=False)
