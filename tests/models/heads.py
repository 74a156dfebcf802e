"""Checkpoints as the authors of STEGO, Hidden Positives and Leopart write them, tiny and random."""

from pathlib import Path

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
