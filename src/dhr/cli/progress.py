"""Progress: a bar with rate and time left for each stage, or, where there is no terminal, a line now and then."""

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
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

from dhr.progress import Step

_LINE_EVERY = 15.0  # seconds between lines of a log


class _Rate(ProgressColumn):
    """Photographs a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class Bars:
    """Shows each step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(),
            MofNCompleteColumn(),
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
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def __call__(self, step: Step) -> None:
        """Show how far a stage is."""
        stage, done, total, note = step.stage, step.done, step.total, step.note
        if self._console.is_terminal:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(stage, total=total, completed=done, note=note)
            self._progress.update(self._tasks[stage], completed=done, total=total, note=note)
            return
        now = time.monotonic()
        first, before = self._begun.setdefault(stage, (now, done))
        if now - self._last >= _LINE_EVERY or done == total:
            self._last = now
            rate = (done - before) / max(now - first, 1e-9)
            left = f", {rate:.1f}/s, {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
            losses = f", {note}" if note else ""
            self._console.print(f"{stage}: {done} of {total}{losses}{left}", highlight=False)
