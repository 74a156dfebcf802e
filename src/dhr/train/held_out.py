"""The stop rule of a student's training: it ends when the loss on held-out photographs no longer falls."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from dhr.data.samples import Sample
from dhr.models.modes import evaluating
from dhr.parsing import Fields, as_number, as_whole
from dhr.tensors import check_finite
from dhr.train.fitting import mix
from dhr.train.objectives import Objective
from dhr.train.student_crops import CropDataset, LoadedCrop

_FEWEST = 40  # photographs; with fewer, all are trained on
_MOST = 100  # held-out photographs: more would cost time, and hardly make the loss more exact
LOOKS = 20
"""Looks at the held-out photographs, evenly over a training."""
PATIENCE = 5
"""Looks without a lower loss, after which a training ends."""


def held_out(samples: Sequence[Sample], share: float) -> tuple[list[Sample], list[Sample]]:
    """Split photographs into those that are trained on and those held out.

    They are drawn by their names. The last photograph of a class is trained on: else the student could not know it.
    """
    if share == 0 or len(samples) < _FEWEST:
        return list(samples), []
    count, names = min(_MOST, round(share * len(samples))), set[str]()
    left = Counter(tag for sample in samples for tag in sample.tags)
    for sample in sorted(samples, key=lambda sample: hashlib.sha256(sample.name.encode()).digest()):
        if len(names) < count and all(left[tag] > 1 for tag in sample.tags):
            names.add(sample.name)
            left.subtract(sample.tags)
    return [one for one in samples if one.name not in names], [one for one in samples if one.name in names]


class StopRule:
    """Keeps the weights with the lowest loss on held-out photographs."""

    def __init__(self, crops: CropDataset, objective: Objective, fabric: Fabric) -> None:
        """Take the held-out photographs, and the loss."""
        self.crops, self.objective, self.fabric = crops, objective, fabric
        config = crops.config
        self.steps, self.size = config.steps, max(1, config.batch // config.accumulate)
        self.lowest, self.step, self.since = math.inf, 0, 0
        """The lowest loss, its step, and the looks since then."""
        self.weights: Mapping[str, Tensor] = {}

    @property
    def stopped(self) -> bool:
        """Whether the training is to end."""
        return self.since >= PATIENCE

    @property
    def note(self) -> str:
        """The weights that are the result, and the reason."""
        why = f"it did not fall in {PATIENCE} looks, so the training ended" if self.stopped else "all steps were taken"
        count = len(self.crops.photographs.samples)
        return (
            f"The student has the weights of step {self.step}, which have the lowest loss ({self.lowest:.3f}) on "
            f"{count} held-out photographs; {why}."
        )

    def due(self, done: int) -> bool:
        """Return whether it is time for a look after ``done`` steps; before recursion the loss is another one."""
        every = max(1, self.steps // LOOKS)
        return done > self.objective.first and (done % every == 0 or done == self.steps)

    def look(self, done: int, result: Any) -> None:
        """Compute the loss; keep the weights of ``result`` if it is the lowest so far."""
        loss = self.fabric.broadcast(self._loss(done - 1, result))  # all processes must decide the same
        self.since += 1
        if loss < self.lowest:
            self.lowest, self.step, self.since = loss, done, 0
            self.weights = {name: value.detach().cpu().clone() for name, value in result.state_dict().items()}

    @torch.no_grad()
    def _loss(self, step: int, result: Any) -> float:
        samples = self.crops.photographs.samples
        total = torch.zeros((), device=self.fabric.device)
        torch.manual_seed(mix(self.crops.photographs.seed))  # some losses are of random points
        with evaluating(result), self.fabric.autocast():
            for start in range(0, len(samples), self.size):
                items = [self.crops.middle(sample) for sample in samples[start : start + self.size]]
                columns = (self.fabric.to_device(torch.stack(column)) for column in zip(*items, strict=True))
                losses = self.objective(result, None, LoadedCrop(*columns).finished(), step)
                total += torch.stack(losses.parts).sum() * len(items)
        return float(total) / len(samples)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        if not self.weights:
            return {}
        return {"loss": self.lowest, "step": self.step, "since": self.since, "weights": dict(self.weights)}

    def restore(self, state: Any, network: Any) -> None:
        """Continue from the :meth:`state` of a checkpoint for ``network``.

        Raises:
            ValueError: it is damaged, or of another network.
        """
        found = Fields(state)
        if not found.object():
            return
        weights = found.object("weights")
        shapes, expected = (
            {name: getattr(one, "shape", None) for name, one in of.items()} for of in (weights, network.state_dict())
        )
        if shapes != expected:
            raise ValueError("the weights with the lowest loss are of another network")
        check_finite(weights)
        self.weights = weights
        self.lowest = as_number(found.value("loss"), name="loss")
        self.step = as_whole(found.value("step"), 1, self.steps, "step")
        self.since = as_whole(found.value("since"), 0, PATIENCE, "since")
