"""Training a student: the steps, the rates, the checkpoints and the log; what it is taught is a objective's matter."""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dhr.errors import ConfigError, OutputError
from dhr.files import inside
from dhr.models.student import StudentModel
from dhr.progress import Progress, Step
from dhr.tensors import one_line
from dhr.train.checkpoint import Checkpoints, load_network, load_optimiser
from dhr.train.config import StudentTrainingConfig
from dhr.train.crop_data import CropBatch, CropDataset, EndlessBatches
from dhr.train.fitting import mix
from dhr.train.log import Log
from dhr.train.objectives import Objective


def train_student(
    model: StudentModel,
    objective: Objective,
    crops: CropDataset,
    config: StudentTrainingConfig,
    *,
    fabric: Fabric,
    freeze_norm: bool,
    seed: int,
    folder: Path,
    progress: Progress,
    look: Callable[[int, StudentModel], None] | None = None,
    about: dict[str, Any] | None = None,
) -> StudentModel:
    """Train ``model`` by ``objective``, and return the result in evaluation mode: itself, or its teacher.

    ``folder`` gets ``checkpoints/``, ``log.csv`` and TensorBoard's events. Where it holds a checkpoint, training goes
    on from it and ends with the same weights: all randomness is a function of seed, step and photograph.

    Args:
        crops: photographs with base masks, and with USS features if the objective needs them.
        fabric: devices and processes; launched.
        freeze_norm: keep the encoder's batch statistics.
        look: called every ``config.look_every`` steps, and at the end, by the first process.
        about: what else must be the same for a checkpoint to be continued.

    Raises:
        ConfigError: the loss is no number any more; the last checkpoint stays.
        OutputError: a checkpoint is damaged, of another training, or cannot be written.
        ItemError: a photograph cannot be read.
    """
    if config.batch % (config.accumulate * fabric.world_size):
        raise ConfigError(
            f"student_training.batch must be a multiple of student_training.accumulate times the processes, "
            f"{config.accumulate * fabric.world_size}; got {config.batch}"
        )
    torch.manual_seed(seed)
    model.save_memory = config.save_memory
    student: Any = model
    student.to(fabric.device, memory_format=torch.channels_last)
    teacher = ModelEmaV3(student, config.ema, use_warmup=True) if config.teacher else None
    optimiser = _optimiser(student, config)
    rates = [float(group["lr"]) for group in optimiser.param_groups]
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        student = nn.SyncBatchNorm.convert_sync_batchnorm(student)  # type: ignore[no-untyped-call]  # none for CPUs
    network, wrapped = fabric.setup(student, optimiser)
    checkpoints = Checkpoints(inside(folder, "checkpoints"), config.keep)
    settings = {**asdict(config), "seed": seed, **objective.settings, "network": model.describe(), **(about or {})}
    for name in ("workers", "devices", "keep", "save_every", "look_every", "log_every", "save_memory"):
        settings.pop(name, None)
    first = _resume(checkpoints, settings, student, teacher, optimiser)
    log = Log(folder, first, objective.names) if fabric.is_global_zero else None
    order = EndlessBatches(len(crops), config.batch, seed, first, config.steps, fabric.global_rank, fabric.world_size)
    loader = DataLoader(crops, batch_sampler=order, num_workers=config.workers, collate_fn=_collate)
    student.set_modes(freeze_norm)
    result: StudentModel = student if teacher is None else teacher.module
    empty = torch.zeros((), device=fabric.device)  # since the last line of the log

    for step, batch in enumerate(loader, start=first):
        torch.manual_seed(mix(seed, step, fabric.global_rank))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - step / config.steps) ** 0.9
        wrapped.zero_grad()
        sums: list[Tensor] = []
        parts = len(batch.images) // config.accumulate
        for part in range(config.accumulate):
            here = CropBatch(*(fabric.to_device(one[part * parts : (part + 1) * parts]) for one in batch))
            here = here._replace(images=here.images.contiguous(memory_format=torch.channels_last))
            last = part == config.accumulate - 1
            with nullcontext() if last else fabric.no_backward_sync(network):
                losses = objective(network, None if teacher is None else teacher.module, here, step)
                fabric.backward(torch.stack(losses.parts).sum() / config.accumulate)
            sums.append(torch.stack([one.detach() for one in losses.parts]))
            empty += losses.empty
        if config.clip > 0:  # of gradients that are no numbers the loss will tell
            fabric.clip_gradients(network, wrapped, max_norm=config.clip, error_if_nonfinite=False)
        wrapped.step()
        if teacher is not None:
            teacher.update(student, step)
        done = step + 1
        if done % config.log_every == 0 or done % config.save_every == 0 or done == config.steps:
            total = torch.cat([torch.stack(sums).mean(dim=0), empty[None] * fabric.world_size])
            *parts_now, without = fabric.all_reduce(total, reduce_op="mean").tolist()  # type: ignore[union-attr]
            empty.zero_()
            finite = math.isfinite(sum(parts_now))
            if finite and (done % config.save_every == 0 or done == config.steps):
                # The loss is of before the step, which may have been the one that spoilt the network.
                finite = _sound(student, result, batch.images[:1], fabric)
                student.set_modes(freeze_norm)
            if not finite:
                before = f"The last checkpoint, in {checkpoints.folder}, is of before"
                raise ConfigError(
                    f"the training diverged by step {done} (losses {' and '.join(f'{one:.3g}' for one in parts_now)}); "
                    f"lower --student_training.lr. {before if checkpoints.any else 'No checkpoint was written before'}"
                )
            named = zip(objective.names, parts_now, strict=True)
            note = " ".join(f"{name} {one:.3f}" for name, one in named)
            progress(Step("student", done, config.steps, "steps", note))
            if log is not None:
                log.add(done, parts_now, optimiser.param_groups[0]["lr"], round(without))
        if log is not None and (done % config.save_every == 0 or done == config.steps):
            log.write()  # first: lines beyond a checkpoint are forgotten when training goes on, lost ones are not found
            checkpoints.write(done, _state(student, teacher, optimiser), settings)
        often = config.look_every and (done % config.look_every == 0 or done == config.steps)
        if look is not None and log is not None and often:
            look(done, result)
            student.set_modes(freeze_norm)
    fabric.barrier()
    if log is not None:
        log.close()
    return result.eval()  # type: ignore[attr-defined, no-any-return]


@torch.no_grad()
def _sound(student: Any, result: Any, images: Tensor, fabric: Fabric) -> bool:
    """Whether all weights of ``student`` and all probabilities that ``result`` gives are numbers, in all processes."""
    result.eval()
    with fabric.autocast():
        scores = result.segment(fabric.to_device(images))
    finite = torch.stack([scores.isfinite().all(), *(one.isfinite().all() for one in student.parameters())]).all()
    return float(fabric.all_reduce(finite.float(), reduce_op="mean")) == 1  # type: ignore[arg-type]


def make_fabric(config: StudentTrainingConfig, device: torch.device) -> Fabric:
    """Devices and processes; not launched."""
    precision: Any = "32-true"
    if config.precision == "bf16" or (
        config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    ):
        precision = "bf16-mixed"
    devices, nodes = _processes(config)
    if devices * nodes == 1:
        alone: Any = [device.index] if device.type == "cuda" and device.index is not None else 1
        return Fabric(accelerator=device.type, devices=alone, precision=precision)
    # One process may prepare features for hours while the others wait.
    strategy = DDPStrategy(timeout=timedelta(days=7))
    return Fabric(accelerator=device.type, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)


def _processes(config: StudentTrainingConfig) -> tuple[int, int]:
    """Processes a machine, and machines: torchrun and SLURM tell it in the environment."""
    for whole, local in (("WORLD_SIZE", "LOCAL_WORLD_SIZE"), ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE")):
        if os.environ.get(whole, "").isdigit() and os.environ.get(local, "").isdigit():
            here = int(os.environ[local])
            return here, int(os.environ[whole]) // here
    return config.devices, 1


def _optimiser(student: StudentModel, config: StudentTrainingConfig) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = []
    for group in student.groups():
        rate = config.lr * (config.new_lr if group.new else 1)
        decay = {} if group.decay else {"weight_decay": 0.0}
        groups.append({"params": group.parameters, "lr": rate, **decay})
    if config.optimiser == "adamw":
        return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)


def _state(student: Any, teacher: ModelEmaV3 | None, optimiser: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    state = {"student": student.state_dict(), "optimiser": optimiser.state_dict()}
    return state if teacher is None else {**state, "teacher": teacher.module.state_dict()}


def _resume(
    checkpoints: Checkpoints,
    settings: dict[str, Any],
    student: Any,
    teacher: ModelEmaV3 | None,
    optimiser: torch.optim.Optimizer,
) -> int:
    """Load the newest checkpoint, if there is one; the step to go on with."""
    found = checkpoints.read(settings, student.mean.device)
    if found is None:
        return 0
    step, state = found
    try:
        load_network(student, state["student"])
        load_optimiser(optimiser, state["optimiser"])
        if teacher is not None:
            load_network(teacher.module, state["teacher"])
    except (ValueError, KeyError) as error:
        raise OutputError(
            f"{checkpoints.folder} holds the state of another network ({one_line(error, 120)}); "
            "delete it, or choose another folder"
        ) from error
    return step


def _collate(items: Sequence[CropBatch]) -> CropBatch:
    return CropBatch(*(torch.stack(column) for column in zip(*items, strict=True)))
