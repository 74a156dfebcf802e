"""Progress: a bar with rate and time left for each stage, or, where there is no terminal, a line now and then."""

import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dhr.api.data import OPEN
from dhr.cli.terminal import Terminal
from dhr.progress import PLAN, Step
from dhr.words import duration

_LINE_EVERY = 15.0  # seconds between lines of a log


class _Rate(ProgressColumn):
    """How many per second, or the seconds of each."""

    def render(self, task: Task) -> Text:
        return Text(_rate(task.finished_speed or task.speed or 0.0), style="progress.data.speed")


class Bars:
    """Shows each step."""

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._last = 0.0

    def __enter__(self) -> "Bars":
        if not self._progress.disable:  # some releases of rich print a line even then
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._progress.disable:
            self._progress.stop()

    def __call__(self, step: Step) -> None:
        """Show how far a stage is; the plan, and notes of the stages that read the data set, have their own lines."""
        if step.stage in (OPEN, "scan") and step.note:
            self._console.note(step.note)
        elif step.stage == PLAN:
            self._console.say(step.note)
        elif self._console.is_terminal:
            if step.stage not in self._tasks:
                self._tasks[step.stage] = self._progress.add_task(step.stage, total=step.total, unit=step.unit, note="")
            self._progress.update(
                self._tasks[step.stage], completed=step.done, total=step.total, unit=step.unit, note=step.note
            )
        else:
            self._line(step)

    def _line(self, step: Step) -> None:
        """Print a line, at most one in some seconds, and one at the end of each stage."""
        now = time.monotonic()
        first, before = self._begun.setdefault(step.stage, (now, step.done))
        if now - self._last < _LINE_EVERY and step.done != step.total:
            return
        self._last = now
        rate = (step.done - before) / max(now - first, 1e-9)
        more = step.total - step.done
        left = f", {_rate(rate)}, {duration(more / rate)} left" if rate > 0 and more else ""
        note = f", {step.note}" if step.note else ""
        self._console.say(f"{step.stage}: {step.done} of {step.total} {step.unit}{note}{left}")


def _rate(rate: float) -> str:
    """Return a rate in words; that of slow work as the seconds of each.

    >>> _rate(5.43), _rate(0.0231), _rate(0.0)
    ('5.4/s', '43 s each', '')
    """
    return "" if rate <= 0 else f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.{0 if rate < 0.1 else 1}f} s each"
