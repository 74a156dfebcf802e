"""Training a student: steps, learning rates, checkpoints and log; its :class:`Objective` computes the losses."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from dhr.errors import ConfigError, OutputError
from dhr.files import inside
from dhr.models.modes import evaluating, out_of_place
from dhr.models.student import StudentModel
from dhr.parsing import as_whole
from dhr.progress import Step
from dhr.train.checkpoint import Checkpoints, load_network, load_optimiser
from dhr.train.config import StudentTrainingConfig
from dhr.train.fitting import mix
from dhr.train.held_out import StopRule
from dhr.train.loading import loaded
from dhr.train.log import Log
from dhr.train.memory import TooLargeError, in_parts
from dhr.train.student_crops import CropDataset, EndlessBatches, LoadedCrop
from dhr.train.student_plan import Place, StudentPlan, TrainedStudent
from dhr.words import one_line

_KEPT = 2  # checkpoints
_FREE = ("workers", "devices", "save_minutes", "save_every", "look_every", "log_every", "save_memory")
"""Settings that may differ when a checkpoint is continued."""


def train_student(
    plan: StudentPlan, crops: CropDataset, held: CropDataset | None, config: StudentTrainingConfig, place: Place
) -> TrainedStudent:
    """Train ``plan.student``.

    If the folder holds a checkpoint, training continues from it and ends with the same weights: all randomness is a
    function of seed, step and photograph.

    Args:
        crops: photographs with base masks, and with USS features if the objective needs them.
        held: the same of held-out photographs, for the :class:`~dhr.train.held_out.StopRule`.
        config: with numbers for steps, batch and crop (:func:`~dhr.train.fitted.fitted_student`).

    Raises:
        ConfigError: the loss became NaN or infinite, or memory ran out; the last checkpoint stays.
        OutputError: a checkpoint is damaged, belongs to another training, or cannot be written.
        ItemError: a photograph cannot be read.
    """
    config.check_batch(place.fabric.world_size)
    training = _Training(plan, crops, held, config, place)
    training.tell(training.first)
    with out_of_place(training.student):
        for step, batch in training.batches():
            training.step(step, batch)
            training.report(step + 1, batch)
            if training.stopped:
                break
    place.fabric.barrier()
    if training.log is not None:
        training.log.close()
    return training.ended()


class _Training:
    """All that changes from step to step."""

    def __init__(
        self,
        plan: StudentPlan,
        crops: CropDataset,
        held: CropDataset | None,
        config: StudentTrainingConfig,
        place: Place,
    ) -> None:
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
        self.rule = None if held is None else StopRule(held, plan.objective, self.fabric)
        self.parts = config.accumulate
        """Parts of a batch that are computed one after the other."""
        self.first = self._resume()
        self.log = Log(place.folder, self.first, plan.objective.names) if self.fabric.is_global_zero else None
        self.student.set_modes(plan.freeze_norm)
        self.losses = torch.zeros(len(plan.objective.names), device=self.fabric.device)
        """Losses of the last step."""
        self.empty = torch.zeros((), device=self.fabric.device)
        """Crops without a segmentation loss since the last line of the log."""
        self.saved = time.monotonic()
        self.note = f"batches of {config.batch} crops of {config.crop} pixels"

    @property
    def stopped(self) -> bool:
        """Whether the training ends before its last step."""
        return self.rule is not None and self.rule.stopped

    def ended(self) -> TrainedStudent:
        """Return the result."""
        notes = []
        if self.rule is not None and self.rule.weights:
            self.result.load_state_dict(self.rule.weights)  # type: ignore[attr-defined]
            notes.append(self.rule.note)
        if self.parts > self.config.accumulate:
            notes.append(f"Memory was too small for {self.config.batch} crops at once: {self.parts} parts were used.")
        return TrainedStudent(self.result.eval(), tuple(notes))  # type: ignore[attr-defined]

    def tell(self, done: int) -> None:
        """Report the progress."""
        self.place.progress(Step("student", done, self.config.steps, "steps", self.note))

    def batches(self) -> Iterator[tuple[int, LoadedCrop]]:
        """Yield the numbers of the steps that are left, with their batches."""
        order = EndlessBatches(
            len(self.crops), self.config.batch, self.seed, self.first, self.config.steps, self.fabric.global_rank,
            self.fabric.world_size,
        )  # fmt: skip
        if self.stopped:
            return
        batches = loaded(
            order, self.crops.__getitem__, self.crops.source, device=self.fabric.device, workers=self.config.workers
        )
        for step, columns in enumerate(batches, start=self.first):
            yield step, LoadedCrop(*columns)

    def step(self, step: int, batch: LoadedCrop) -> None:
        """Change the weights once."""
        config, fabric = self.config, self.fabric
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * (1 - step / config.steps) ** 0.9
        most = len(batch.pixels) if fabric.world_size == 1 else 1
        try:
            parts = in_parts(lambda parts: self._gradients(step, batch, parts), self.parts, most)
        except TooLargeError as error:
            raise ConfigError(
                f"not enough memory for a step of {config.batch} crops of {config.crop} pixels; lower "
                "--student-training.batch or --student-training.crop, or set --student-training.save-memory"
            ) from error
        if parts != self.parts:
            self.parts = parts
            self.note = f"each batch is computed in {parts} parts, because memory ran out"
        if config.clip > 0:  # the loss shows NaN and infinity
            fabric.clip_gradients(self.network, self.wrapped, max_norm=config.clip, error_if_nonfinite=False)
        self.wrapped.step()
        if self.teacher is not None:
            self.teacher.update(self.student, step)

    def _gradients(self, step: int, batch: LoadedCrop, parts: int) -> None:
        """Compute losses and gradients of a batch."""
        torch.manual_seed(mix(self.seed, step, self.fabric.global_rank))
        self.wrapped.zero_grad()
        teacher = None if self.teacher is None else self.teacher.module
        sums, empty, count = torch.zeros_like(self.losses), torch.zeros_like(self.empty), len(batch.pixels)
        size = math.ceil(count / parts)
        for start in range(0, count, size):
            here = LoadedCrop(*(one[start : start + size] for one in batch)).finished()
            last = start + size >= count
            with nullcontext() if last else self.fabric.no_backward_sync(self.network):
                losses = self.plan.objective(self.network, teacher, here, step)
                share = len(here.images) / count
                self.fabric.backward(torch.stack(losses.parts).sum() * share)
            sums += torch.stack([one.detach() for one in losses.parts]) * share
            empty += losses.empty
        self.losses = sums
        self.empty += empty

    def report(self, done: int, batch: LoadedCrop) -> None:
        """Write log, checkpoint and pictures, and look at the held-out photographs, if it is time.

        Raises:
            ConfigError: the loss became NaN or infinite.
            OutputError: the disk refuses.
        """
        config = self.config
        if self.rule is not None and self.rule.due(done):
            self.rule.look(done, self.result)
        last = done == config.steps or self.stopped
        save = last or (config.save_every > 0 and done % config.save_every == 0)
        if save or done % config.log_every == 0:
            save = self._log(done, save)
            # The loss was computed before the step, which may have made the weights NaN.
            if save and not self._finite(batch.finished().images[:1]):
                raise ConfigError(self._diverged(done, self.losses.tolist()))
        self.tell(done)
        if self.log is None:
            return
        # Both before the checkpoint: on resuming, steps after it are done again, but nothing that it includes.
        if self.place.look is not None and config.look_every and (last or done % config.look_every == 0):
            with evaluating(self.result):  # type: ignore[arg-type]
                self.place.look(done, self.result)
        if save:
            self.log.write()  # later lines are dropped on resuming
            self.checkpoints.write(done, self._state(), self.settings)
            self.saved = time.monotonic()

    def _log(self, done: int, save: bool) -> bool:
        """Add a line to the log; return whether a checkpoint is due, which the first process decides by its clock."""
        late = time.monotonic() - self.saved >= 60 * self.config.save_minutes
        due = torch.full_like(self.empty, float(late and self.fabric.is_global_zero))
        total = torch.cat([self.losses, torch.stack([self.empty, due]) * self.fabric.world_size])
        *losses, empty, now = self.fabric.all_reduce(total, reduce_op="mean").tolist()  # type: ignore[union-attr]
        self.empty.zero_()
        if not math.isfinite(sum(losses)):
            raise ConfigError(self._diverged(done, losses))
        self.note = " ".join(f"{name} {one:.3f}" for name, one in zip(self.plan.objective.names, losses, strict=True))
        if self.log is not None:
            self.log.add(done, losses, self.optimiser.param_groups[0]["lr"], round(empty))
        return save or now > 0

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

    def _state(self) -> dict[str, Any]:
        state = {"student": self.student.state_dict(), "optimiser": self.optimiser.state_dict(), "parts": self.parts}
        if self.rule is not None:
            state["lowest"] = self.rule.state()
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
            if self.rule is not None:
                self.rule.restore(found.parts["lowest"], self.result)
            self.parts = as_whole(found.parts["parts"], 1, self.config.batch, "parts")
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
