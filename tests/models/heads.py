"""Checkpoints as the authors of STEGO, CAUSE, Hidden Positives and Leopart write them, tiny and random."""

from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor

from dhr.models.uss.stego import StegoHead

MODEL = "test_vit"
CODE = 6


def network_state(seed: int = 0) -> dict[str, Tensor]:
    """Parameters of the network below a head."""
    torch.manual_seed(seed)
    state: dict[str, Tensor] = timm.create_model(MODEL, num_classes=0, dynamic_img_size=True).state_dict()
    return state


def head_state(dim: int) -> dict[str, Tensor]:
    """Parameters of a head, by the authors' names; ours has a centre besides."""
    torch.manual_seed(1)
    return {key: value for key, value in StegoHead(dim, CODE).state_dict().items() if key != "centre"}


def dim_of(network: dict[str, Tensor]) -> int:
    return int(network["norm.weight"].shape[0])


def write_stego(path: Path) -> Path:
    """A Lightning checkpoint: the network and the head below `net.`, probes beside it."""
    network = network_state()
    state = {f"net.model.{key}": value for key, value in network.items()}
    state |= {f"net.{key}": value for key, value in head_state(dim_of(network)).items()}
    state |= {"cluster_probe.clusters": torch.zeros(27, CODE), "linear_probe.weight": torch.zeros(27, CODE, 1, 1)}
    torch.save({"epoch": 3, "global_step": 5, "state_dict": state}, path)
    return path


CONCEPTS = 9


def cause_state(dim: int, side: int = 4) -> dict[str, Tensor]:
    """Parameters of CAUSE's decoder, written down by hand: names and shapes of the authors' program."""
    torch.manual_seed(2)
    shapes: dict[str, tuple[int, ...]] = {"query_pos": (side * side, dim)}
    for name in ("self_attn", "multihead_attn"):
        shapes |= {f"tr.{name}.in_proj_weight": (3 * dim, dim), f"tr.{name}.in_proj_bias": (3 * dim,),
                   f"tr.{name}.out_proj.weight": (dim, dim), f"tr.{name}.out_proj.bias": (dim,)}  # fmt: skip
    shapes |= {"tr.linear1.weight": (24, dim), "tr.linear1.bias": (24,)}
    shapes |= {"tr.linear2.weight": (dim, 24), "tr.linear2.bias": (dim,)}
    shapes |= {f"tr.norm{n}.{kind}": (dim,) for n in (1, 2, 3) for kind in ("weight", "bias")}
    shapes |= {f"tr.{name}": shape for name, shape in _branches(dim).items()}
    return {name: torch.randn(shape) / dim**0.5 for name, shape in shapes.items()}


def _branches(dim: int) -> dict[str, tuple[int, ...]]:
    return {"f1.weight": (CODE, dim, 1, 1), "f1.bias": (CODE,), "f2.0.weight": (dim, dim, 1, 1), "f2.0.bias": (dim,),
            "f2.2.weight": (CODE, dim, 1, 1), "f2.2.bias": (CODE,)}  # fmt: skip


def cause_codebook(dim: int) -> Tensor:
    return torch.randn(CONCEPTS, dim, generator=torch.Generator().manual_seed(3))


def write_cause(path: Path) -> Path:
    """`segment_tr.pth`: the head, its moving average, a projection and a linear probe; the codebook beside it."""
    dim = dim_of(network_state())
    head = cause_state(dim)
    state = {f"head.{key}": value + 1 for key, value in head.items()}
    state |= {f"head_ema.{key}": value for key, value in head.items()}
    state |= {"projection_head.f.weight": torch.zeros(8, CODE, 1, 1), "linear.f.weight": torch.zeros(27, CODE, 1, 1)}
    torch.save(state, path)
    np.save(path.with_name("modular.npy"), cause_codebook(dim).numpy())
    return path


def write_cause_branches(path: Path) -> Path:
    """`segment_mlp.pth`, of the variant without a decoder."""
    torch.manual_seed(2)
    head = {name: torch.randn(shape) for name, shape in _branches(dim_of(network_state())).items()}
    torch.save({f"head_ema.{key}": value for key, value in head.items()}, path)
    return path


def write_hp(path: Path) -> Path:
    """A checkpoint of Hidden Positives, with the moving average of its head."""
    network = network_state()
    head = head_state(dim_of(network))
    state = {f"model.{key}": value for key, value in network.items()} | head
    state |= {f"ema_{key}": value for key, value in head.items()}
    torch.save({"net_model_state_dict": state, "linear_model_state_dict": {}}, path)
    return path


def write_leopart(path: Path) -> Path:
    """A Lightning checkpoint of Leopart: the network with a projection head and prototypes."""
    state = {f"model.{key}": value for key, value in network_state().items()}
    state |= {"model.prototypes.weight": torch.zeros(5, 8), "model.projection_head.0.weight": torch.zeros(8, 8)}
    torch.save({"state_dict": state}, path)
    return path
