"""Devices and processes of a training."""

import os
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from dhr.train.config import StudentTrainingConfig
from dhr.train.precision import is_lower


def make_fabric(config: StudentTrainingConfig, device: torch.device) -> Fabric:
    """Choose devices, processes and precision; the result is not launched."""
    precision: Any = "32-true"
    if is_lower(config.precision, device):
        precision = "bf16-mixed"
    devices, nodes = _processes(config)
    if devices * nodes == 1:
        alone: Any = [device.index] if device.type == "cuda" and device.index is not None else 1
        return Fabric(accelerator=device.type, devices=alone, precision=precision)
    # One process may prepare features for hours while the others wait.
    strategy = DDPStrategy(timeout=timedelta(days=7))
    return Fabric(accelerator=device.type, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)


def _processes(config: StudentTrainingConfig) -> tuple[int, int]:
    """Return the processes per machine and the machines; torchrun and SLURM set both in the environment."""
    for whole, local in (("WORLD_SIZE", "LOCAL_WORLD_SIZE"), ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE")):
        if os.environ.get(whole, "").isdigit() and os.environ.get(local, "").isdigit():
            here = int(os.environ[local])
            return here, int(os.environ[whole]) // here
    return config.devices, 1
