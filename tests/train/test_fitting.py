"""What can go wrong in a training by epochs: memory, threads that load, Ctrl-C."""

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dhr.errors import ConfigError, ItemError
from dhr.progress import Step, silent
from dhr.train.fitting import EpochDataset, Schedule, fit
from dhr.train.loading import loaded
from dhr.train.memory import TooLargeError, in_parts

COUNT = 10


class Points(EpochDataset):
    """Points of a plane, moved a little in each epoch."""

    def __len__(self) -> int:
        return COUNT

    def item(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        x = torch.tensor([index / COUNT, epoch / 10.0])
        return x, x.sum()[None]

    def source(self, index: int) -> str:
        return f"photograph {index}"


def schedule(*, divisible: bool = False, minutes: float = 0.0) -> Schedule:
    return Schedule("toy", 3, 4, 0, "lower it", "make it smaller", divisible=divisible, minutes=minutes)


class Line:
    """A line that is fitted to the points; memory is enough for ``room`` of them."""

    def __init__(self, room: int = COUNT) -> None:
        torch.manual_seed(0)
        self.network, self.room, self.steps = nn.Linear(2, 1), room, 0

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        self.steps += 1
        error = (self.network(x) - y).square().mean()
        if len(x) > self.room:
            raise torch.OutOfMemoryError("no room")
        return error

    def fitted(
        self, checkpoint: Path, plan: Schedule, progress: object = silent, data: EpochDataset | None = None
    ) -> Tensor:
        groups = [(self.network.parameters(), 0.1)]
        fit(self.network, groups, data or Points(), self.loss, plan, checkpoint, progress)  # type: ignore[arg-type]
        return torch.cat([one.detach().flatten() for one in self.network.parameters()])


@pytest.mark.parametrize("room", [2, 1])
def test_a_batch_that_is_too_large_is_computed_in_parts(room: int, tmp_path: Path) -> None:
    whole = Line().fitted(tmp_path / "whole", schedule(divisible=True))
    notes: list[str] = []
    small = Line(room)
    found = small.fitted(tmp_path / "parts", schedule(divisible=True), lambda step: notes.append(step.note))
    torch.testing.assert_close(found, whole)
    assert notes[0] == "" and f"{4 // room} parts, because memory ran out" in notes[-1]

    class StopError(Exception):
        pass

    def stop(step: Step) -> None:
        if step.done >= 8:
            raise StopError

    with pytest.raises(StopError):
        Line(room).fitted(tmp_path / "again", schedule(divisible=True), stop)
    resumed = Line(room)
    assert torch.equal(resumed.fitted(tmp_path / "again", schedule(divisible=True)), found)
    assert resumed.steps < small.steps  # it begins with the parts that were found


@pytest.mark.parametrize(("divisible", "room"), [(True, 0), (False, 2)])
def test_a_step_for_which_memory_is_too_small_says_what_to_set(divisible: bool, room: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not enough memory for a step of 4 items; make it smaller"):
        Line(room).fitted(tmp_path / "a", schedule(divisible=divisible))


def test_parts_are_tried_in_order() -> None:
    tried: list[int] = []

    def work(parts: int) -> None:
        tried.append(parts)
        if parts < 8:
            raise MemoryError

    assert in_parts(work, 2, 8) == 8 and tried == [2, 4, 8]
    with pytest.raises(TooLargeError):
        in_parts(work, 2, 7)
    with pytest.raises(ValueError, match="other"):
        in_parts(lambda parts: int("other"), 1, 8)


def test_ctrl_c_in_a_step_leaves_the_checkpoint(tmp_path: Path) -> None:
    whole = Line().fitted(tmp_path / "whole", schedule())
    pressed = Line()
    loss = pressed.loss

    def interrupted(x: Tensor, y: Tensor) -> Tensor:
        if pressed.steps == 4:
            raise KeyboardInterrupt
        return loss(x, y)

    pressed.loss = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        pressed.fitted(tmp_path / "a", schedule())
    assert torch.equal(Line().fitted(tmp_path / "a", schedule()), whole)
    assert not [one for one in threading.enumerate() if one.name == "dhr-ahead" and one.is_alive()]


class Faulty(Points):
    """One of the points cannot be loaded."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def item(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        if (epoch, index) == (1, 3):
            raise self.error
        return super().item(epoch, index)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ItemError("it is damaged"), (ItemError, "photograph 3: it is damaged")),
        (ItemError("photograph 3: it is gone"), (ItemError, "^photograph 3: it is gone")),
        (MemoryError(), (ItemError, "photograph 3: not enough memory to read it")),
        (SystemExit(3), (SystemExit, "3")),
    ],
)
def test_a_photograph_that_cannot_be_loaded_is_named(
    error: BaseException, expected: tuple[type[BaseException], str], tmp_path: Path
) -> None:
    """Whatever ends its thread; the checkpoint stays, and the training goes on from it."""
    kind, words = expected
    with pytest.raises(kind, match=words):
        Line().fitted(tmp_path / "a", schedule(), data=Faulty(error))
    assert (tmp_path / "a").exists()
    whole = Line().fitted(tmp_path / "whole", schedule())
    assert torch.equal(Line().fitted(tmp_path / "a", schedule()), whole)


def test_a_photograph_whose_disk_hangs_is_named() -> None:
    release = threading.Event()
    found: list[list[int]] = []
    read = []

    def load(key: int) -> tuple[Tensor, ...]:
        if key == 2:
            release.wait(60)
        read.append(key)
        return (torch.tensor(key),)

    batches = loaded([[0, 1], [2, 3]], load, lambda key: f"photograph {key}", device=torch.device("cpu"), patience=0.2)
    try:
        with pytest.raises(ItemError, match=r"photograph 2: reading it took longer than 0\.2 seconds; check the disk"):
            for (numbers,) in batches:
                found.append(numbers.tolist())
        assert 2 not in read, "it waited for the disk"
    finally:
        release.set()
    assert found == [[0, 1]]
