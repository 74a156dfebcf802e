"""Joint training: the student's own maps are rebalanced in every step and teach its decoder (paper, Section 3.3)."""

import csv
import io
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, multilabel_soft_margin_loss
from torch.utils.data import DataLoader

from dhr.data.samples import VOID
from dhr.errors import ConfigError
from dhr.files import write_bytes
from dhr.method.config import BoundaryConfig, MethodConfig
from dhr.models.student.network import Student, set_modes
from dhr.train.checkpoint import Checkpoints
from dhr.train.fitting import mix
from dhr.train.joint_config import JointConfig
from dhr.train.live import Targets, given_targets, live_targets
from dhr.train.pieces import Order, PieceDataset, Pieces

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, the losses)."""


def train_student(
    student: Student,
    pieces: PieceDataset,
    config: JointConfig,
    method: MethodConfig,
    boundary: BoundaryConfig,
    *,
    fabric: Fabric,
    freeze_norm: bool,
    seed: int,
    folder: Path,
    progress: Progress,
    look: Callable[[int, Student], None] | None = None,
    about: dict[str, Any] | None = None,
) -> Student:
    """Train ``student`` and return the result in evaluation mode: itself, or its teacher.

    ``folder`` gets ``checkpoints/``, ``log.csv`` and TensorBoard's events. Where it holds a checkpoint, training goes
    on from it and ends with the same weights: all randomness is a function of seed, step and photograph.

    Args:
        pieces: photographs with base masks and USS features.
        method: Steps 1 to 3 in recursion.
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
            f"joint.batch must be a multiple of joint.accumulate times the processes, "
            f"{config.accumulate * fabric.world_size}; got {config.batch}"
        )
    torch.manual_seed(seed)
    student.save_memory = config.save_memory
    student.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = ModelEmaV3(student, config.ema, use_warmup=True) if config.teacher else None
    optimiser = _optimiser(student, config)
    rates = [float(group["lr"]) for group in optimiser.param_groups]
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        student = nn.SyncBatchNorm.convert_sync_batchnorm(student)  # type: ignore[no-untyped-call]  # none for CPUs
    network, wrapped = fabric.setup(student, optimiser)
    checkpoints = Checkpoints(folder / "checkpoints", config.keep)
    settings = {**asdict(config), "seed": seed, "method": asdict(method), **(about or {})}
    for name in ("workers", "devices", "keep", "save_every", "look_every", "log_every", "save_memory"):
        settings.pop(name, None)
    first = _resume(checkpoints, settings, student, teacher, optimiser)
    log = _Log(folder, first) if fabric.is_global_zero else None
    order = Order(len(pieces), config.batch, seed, first, config.steps, fabric.global_rank, fabric.world_size)
    loader = DataLoader(pieces, batch_sampler=order, num_workers=config.workers, collate_fn=_collate)
    live_from = round(config.start * config.steps) if pieces.mask is not None else 0
    refine = replace(boundary, kind=config.boundary)
    set_modes(student, freeze_norm)

    for step, batch in enumerate(loader, start=first):
        torch.manual_seed(mix(seed, step, fabric.global_rank))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - step / config.steps) ** 0.9
        wrapped.zero_grad()
        sums: list[Tensor] = []
        parts = len(batch.images) // config.accumulate
        for part in range(config.accumulate):
            here = Pieces(*(fabric.to_device(one[part * parts : (part + 1) * parts]) for one in batch))
            images = here.images.contiguous(memory_format=torch.channels_last)
            last = part == config.accumulate - 1
            with nullcontext() if last else fabric.no_backward_sync(network):
                seen = network(images)
                targets = given_targets(here)
                if config.recursion and step >= live_from:
                    view = seen if teacher is None else _see(teacher.module, images, fabric)
                    cams = student.activation(view)
                    targets = live_targets(
                        cams.detach(), view.features.detach(), here, config.base if pieces.mask else "maps",
                        bool(student.background), method, refine,
                    )  # fmt: skip
                tagged = multilabel_soft_margin_loss(seen.cams.mean(dim=(2, 3)), here.tags)
                segmented = segmentation_loss(seen.logits, targets, config, fabric)
                fabric.backward((tagged + segmented) / config.accumulate)
            sums.append(torch.stack([tagged.detach(), segmented.detach(), targets.empty.float().sum()]))
        wrapped.step()
        if teacher is not None:
            teacher.update(student, step)
        done = step + 1
        if done % config.log_every == 0 or done % config.save_every == 0 or done == config.steps:
            values = torch.stack(sums)
            total = torch.cat([values[:, :2].mean(dim=0), values[:, 2:].sum(dim=0) * fabric.world_size])
            tag_loss, mask_loss, empty = fabric.all_reduce(total, reduce_op="mean").tolist()  # type: ignore[union-attr]
            if not math.isfinite(tag_loss + mask_loss):
                raise ConfigError(
                    f"the training diverged by step {done} (losses {tag_loss:.3g} and {mask_loss:.3g}); "
                    f"lower --joint.lr. The last checkpoint, in {checkpoints.folder}, is of before"
                )
            progress(done, config.steps, f"L_cls {tag_loss:.3f} L_seg {mask_loss:.3f}")
            if log is not None:
                log.add(done, tag_loss, mask_loss, optimiser.param_groups[0]["lr"], int(empty))
        if log is not None and (done % config.save_every == 0 or done == config.steps):
            log.write()  # first: lines beyond a checkpoint are forgotten when training goes on, lost ones are not found
            checkpoints.write(done, _state(student, teacher, optimiser), settings)
        often = config.look_every and (done % config.look_every == 0 or done == config.steps)
        if look is not None and log is not None and often:
            look(done, student if teacher is None else teacher.module)
            set_modes(student, freeze_norm)
    fabric.barrier()
    if log is not None:
        log.close()
    result: Student = student if teacher is None else teacher.module
    return result.eval()


def segmentation_loss(
    logits: Float[Tensor, "b c p q"], targets: Targets, config: JointConfig, fabric: Fabric
) -> Float[Tensor, ""]:
    """L_seg: cross entropy, the mean over the pixels (of all processes) that are not void, or weighted."""
    sharp = interpolate(logits.float(), targets.labels.shape[-2:], mode="bilinear", align_corners=False)
    losses = cross_entropy(sharp, targets.labels, ignore_index=VOID, reduction="none")
    weights = (targets.labels != VOID).float()
    if config.weighting == "confidence":
        weights = weights * targets.confidence
    else:
        weights = weights * (targets.confidence >= config.doubtful)
    count = weights.sum()
    if fabric.world_size > 1:
        count = fabric.all_reduce(count, reduce_op="mean")  # type: ignore[assignment]
    return (losses * weights).sum() / count.clamp_min(1)


def make_fabric(config: JointConfig, device: torch.device) -> Fabric:
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


def _processes(config: JointConfig) -> tuple[int, int]:
    """Processes a machine, and machines: torchrun and SLURM tell it in the environment."""
    for whole, local in (("WORLD_SIZE", "LOCAL_WORLD_SIZE"), ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE")):
        if os.environ.get(whole, "").isdigit() and os.environ.get(local, "").isdigit():
            here = int(os.environ[local])
            return here, int(os.environ[whole]) // here
    return config.devices, 1


def _optimiser(student: Student, config: JointConfig) -> torch.optim.Optimizer:
    new = [*student.tagger.classifier.parameters(), *student.decoder.parameters()]
    groups = [
        {"params": list(student.tagger.encoder.parameters()), "lr": config.lr},
        {"params": new, "lr": config.new_lr * config.lr},
    ]
    if config.optimiser == "adamw":
        return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)


@torch.no_grad()
def _see(teacher: Any, images: Tensor, fabric: Fabric) -> Any:
    teacher.eval()
    with fabric.autocast():
        return teacher(images)


def _state(student: Student, teacher: ModelEmaV3 | None, optimiser: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    state = {"student": student.state_dict(), "optimiser": optimiser.state_dict()}
    return state if teacher is None else {**state, "teacher": teacher.module.state_dict()}


def _resume(
    checkpoints: Checkpoints,
    settings: dict[str, Any],
    student: Student,
    teacher: ModelEmaV3 | None,
    optimiser: torch.optim.Optimizer,
) -> int:
    """Load the newest checkpoint, if there is one; the step to go on with."""
    found = checkpoints.read(settings, student.mean.device)
    if found is None:
        return 0
    step, state = found
    student.load_state_dict(state["student"])
    optimiser.load_state_dict(state["optimiser"])
    if teacher is not None:
        teacher.module.load_state_dict(state["teacher"])
    return step


def _collate(items: Sequence[Pieces]) -> Pieces:
    return Pieces(*(torch.stack(column) for column in zip(*items, strict=True)))


class _Log:
    """``log.csv`` and TensorBoard's events; what comes after the checkpoint that is gone on from is forgotten."""

    columns = ("step", "L_cls", "L_seg", "lr", "empty", "seconds")

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "log.csv"
        self.rows: list[list[Any]] = []
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= step]
        self._board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        before = float(self.rows[-1][-1]) if self.rows else 0.0
        self._begun = time.perf_counter() - before

    def add(self, step: int, tagged: float, segmented: float, rate: float, empty: int) -> None:
        """One line."""
        seconds = time.perf_counter() - self._begun
        self.rows.append([step, f"{tagged:.6f}", f"{segmented:.6f}", f"{rate:.3g}", empty, f"{seconds:.1f}"])
        for name, value in (("loss/cls", tagged), ("loss/seg", segmented), ("lr", rate), ("empty pieces", empty)):
            self._board.add_scalar(name, value, step)

    def write(self) -> None:
        """Write the lines so far."""
        text = io.StringIO()
        csv.writer(text).writerows([self.columns, *self.rows])
        write_bytes(self.path, text.getvalue().encode())
        self._board.flush()

    def close(self) -> None:
        """End TensorBoard's file."""
        self.write()
        self._board.close()
