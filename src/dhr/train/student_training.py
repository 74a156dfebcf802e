"""Training a student: steps, learning rates, checkpoints and log; its :class:`Objective` computes the losses."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dhr.errors import ConfigError, OutputError
from dhr.features import Features
from dhr.files import inside
from dhr.models.modes import evaluating
from dhr.models.student import StudentModel
from dhr.progress import Progress, Step, silent
from dhr.train.checkpoint import Checkpoints, load_network, load_optimiser
from dhr.train.config import StudentTrainingConfig
from dhr.train.fitting import mix
from dhr.train.log import Log
from dhr.train.objectives import Objective
from dhr.train.student_crops import CropBatch, CropDataset, EndlessBatches
from dhr.words import one_line

_KEPT = 2  # checkpoints
_FREE = ("workers", "devices", "save_every", "look_every", "log_every", "save_memory")
"""Settings that may differ when a checkpoint is continued."""


@dataclass(frozen=True)
class StudentPlan:
    """An untrained student, and how it is to be trained."""

    student: StudentModel
    objective: Objective
    freeze_norm: bool
    """Whether the batch statistics of its encoder stay as they are."""
    uss: Features | None = None
    """Source of the features that the objective needs."""


@dataclass(frozen=True)
class Place:
    """Devices, folder and reports of a training."""

    fabric: Fabric
    """Devices and processes; launched."""
    folder: Path
    """Gets ``checkpoints/``, ``log.csv`` and TensorBoard's events."""
    progress: Progress = silent
    look: Callable[[int, StudentModel], None] | None = None
    """Called every ``look_every`` steps and at the end, by the first process."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Further facts that must be the same when a checkpoint is continued."""


def train_student(plan: StudentPlan, crops: CropDataset, config: StudentTrainingConfig, place: Place) -> StudentModel:
    """Train ``plan.student``, and return the result in evaluation mode: itself, or its teacher.

    If the folder holds a checkpoint, training continues from it and ends with the same weights: all randomness is a
    function of seed, step and photograph.

    Args:
        crops: photographs with base masks, and with USS features if the objective needs them.

    Raises:
        ConfigError: the loss became NaN or infinite; the last checkpoint stays.
        OutputError: a checkpoint is damaged, belongs to another training, or cannot be written.
        ItemError: a photograph cannot be read.
    """
    config.check_batch(place.fabric.world_size)
    training = _Training(plan, crops, config, place)
    for step, batch in training.batches():
        training.step(step, batch)
        training.report(step + 1, batch)
    place.fabric.barrier()
    if training.log is not None:
        training.log.close()
    return training.result.eval()  # type: ignore[attr-defined, no-any-return]


class _Training:
    """All that changes from step to step."""

    def __init__(self, plan: StudentPlan, crops: CropDataset, config: StudentTrainingConfig, place: Place) -> None:
        self.plan, self.crops, self.config, self.place, self.fabric = plan, crops, config, place, place.fabric
        self.seed = crops.photographs.seed
        torch.manual_seed(self.seed)
        plan.student.save_memory = config.save_memory
        student: Any = plan.student
        student.to(self.fabric.device, memory_format=torch.channels_last)
        self.teacher = ModelEmaV3(student, config.ema, use_warmup=True) if config.teacher else None
        self.optimiser = _optimiser(student, config)
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        if self.fabric.world_size > 1 and self.fabric.device.type == "cuda":  # CPUs have no synchronised batch norm
            student = nn.SyncBatchNorm.convert_sync_batchnorm(student)  # type: ignore[no-untyped-call]
        self.student: Any = student
        self.network, self.wrapped = self.fabric.setup(student, self.optimiser)
        self.result: StudentModel = student if self.teacher is None else self.teacher.module
        self.checkpoints = Checkpoints(inside(place.folder, "checkpoints"), _KEPT)
        settings = {
            **asdict(config), "seed": self.seed, **plan.objective.settings, "network": plan.student.describe(),
            **place.about,
        }  # fmt: skip
        self.settings = {name: value for name, value in settings.items() if name not in _FREE}
        self.first = self._resume()
        self.log = Log(place.folder, self.first, plan.objective.names) if self.fabric.is_global_zero else None
        self.student.set_modes(plan.freeze_norm)
        self.losses = torch.zeros(len(plan.objective.names), device=self.fabric.device)
        """Of the last step."""
        self.empty = torch.zeros((), device=self.fabric.device)
        """Crops without a segmentation loss since the last line of the log."""

    def batches(self) -> "enumerate[CropBatch]":
        """Return the batches that are left, with the numbers of their steps."""
        order = EndlessBatches(
            len(self.crops), self.config.batch, self.seed, self.first, self.config.steps, self.fabric.global_rank,
            self.fabric.world_size,
        )  # fmt: skip
        loader = DataLoader(self.crops, batch_sampler=order, num_workers=self.config.workers, collate_fn=_collate)
        return enumerate(loader, start=self.first)

    def step(self, step: int, batch: CropBatch) -> None:
        """Change the weights once."""
        config, fabric = self.config, self.fabric
        torch.manual_seed(mix(self.seed, step, fabric.global_rank))
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * (1 - step / config.steps) ** 0.9
        self.wrapped.zero_grad()
        teacher = None if self.teacher is None else self.teacher.module
        sums: list[Tensor] = []
        size = len(batch.images) // config.accumulate
        for part in range(config.accumulate):
            here = CropBatch(*(fabric.to_device(one[part * size : (part + 1) * size]) for one in batch))
            here = here._replace(images=here.images.contiguous(memory_format=torch.channels_last))
            last = part == config.accumulate - 1
            with nullcontext() if last else fabric.no_backward_sync(self.network):
                losses = self.plan.objective(self.network, teacher, here, step)
                fabric.backward(torch.stack(losses.parts).sum() / config.accumulate)
            sums.append(torch.stack([one.detach() for one in losses.parts]))
            self.empty += losses.empty
        if config.clip > 0:  # the loss shows NaN and infinity
            fabric.clip_gradients(self.network, self.wrapped, max_norm=config.clip, error_if_nonfinite=False)
        self.wrapped.step()
        if self.teacher is not None:
            self.teacher.update(self.student, step)
        self.losses = torch.stack(sums).mean(dim=0)

    def report(self, done: int, batch: CropBatch) -> None:
        """Write log, checkpoint and pictures if it is time.

        Raises:
            ConfigError: the loss became NaN or infinite.
            OutputError: the disk refuses.
        """
        config, last = self.config, done == self.config.steps
        save = last or done % config.save_every == 0
        if save or done % config.log_every == 0:
            total = torch.cat([self.losses, self.empty[None] * self.fabric.world_size])
            *losses, empty = self.fabric.all_reduce(total, reduce_op="mean").tolist()  # type: ignore[union-attr]
            self.empty.zero_()
            # The loss was computed before the step, which may have made the weights NaN.
            if not math.isfinite(sum(losses)) or (save and not self._finite(batch.images[:1])):
                raise ConfigError(self._diverged(done, losses))
            named = zip(self.plan.objective.names, losses, strict=True)
            note = " ".join(f"{name} {one:.3f}" for name, one in named)
            self.place.progress(Step("student", done, config.steps, "steps", note))
            if self.log is not None:
                self.log.add(done, losses, self.optimiser.param_groups[0]["lr"], round(empty))
        if self.log is None:
            return
        if save:
            self.log.write()  # before the checkpoint: later lines are dropped on resuming, missing ones are lost
            self.checkpoints.write(done, self._state(), self.settings)
        if self.place.look is not None and config.look_every and (last or done % config.look_every == 0):
            with evaluating(self.result):  # type: ignore[arg-type]
                self.place.look(done, self.result)

    @torch.no_grad()
    def _finite(self, images: Tensor) -> bool:
        """Return whether all weights, and all probabilities of the result, are finite in all processes."""
        with evaluating(self.result), self.fabric.autocast():  # type: ignore[arg-type]
            scores = self.result.segment(self.fabric.to_device(images))
        weights = (one.isfinite().all() for one in self.student.parameters())
        finite = torch.stack([scores.isfinite().all(), *weights]).all()
        return float(self.fabric.all_reduce(finite.float(), reduce_op="mean")) == 1  # type: ignore[arg-type]

    def _diverged(self, done: int, losses: Sequence[float]) -> str:
        if self.checkpoints.any:
            saved = f"The last checkpoint, in {self.checkpoints.folder}, predates this"
        else:
            saved = "No checkpoint was written before"
        return (
            f"the training diverged by step {done} (losses {' and '.join(f'{one:.3g}' for one in losses)}); "
            f"lower --student-training.lr. {saved}"
        )

    def _state(self) -> dict[str, dict[str, Any]]:
        state = {"student": self.student.state_dict(), "optimiser": self.optimiser.state_dict()}
        return state if self.teacher is None else {**state, "teacher": self.teacher.module.state_dict()}

    def _resume(self) -> int:
        """Load the newest checkpoint, if there is one; return the step to continue with."""
        found = self.checkpoints.read(self.settings, self.student.mean.device)
        if found is None:
            return 0
        try:
            load_network(self.student, found.parts["student"])
            load_optimiser(self.optimiser, found.parts["optimiser"])
            if self.teacher is not None:
                load_network(self.teacher.module, found.parts["teacher"])
        except (ValueError, KeyError) as error:
            raise OutputError(
                f"{self.checkpoints.folder} holds the state of another network ({one_line(error, 120)}); "
                "train again with --redo student, or in a new folder with --out"
            ) from error
        return found.step


def _optimiser(student: StudentModel, config: StudentTrainingConfig) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = []
    for group in student.groups():
        rate = config.lr * (config.new_lr if group.new else 1)
        decay = {} if group.decay else {"weight_decay": 0.0}
        groups.append({"params": group.parameters, "lr": rate, **decay})
    if config.optimiser == "adamw":
        return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)


def _collate(items: Sequence[CropBatch]) -> CropBatch:
    return CropBatch(*(torch.stack(column) for column in zip(*items, strict=True)))
