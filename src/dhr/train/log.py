"""The log of a training: a table, and events for TensorBoard."""

import csv
import io
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dhr.errors import OutputError
from dhr.files import inside, read_regular, write_bytes
from dhr.parsing import as_number
from dhr.words import one_line

_MAX_BYTES = 100_000_000


class Log:
    """``log.csv`` and TensorBoard's events; entries after the checkpoint that training continues from are dropped."""

    def __init__(self, folder: Path, step: int, names: Sequence[str]) -> None:
        """Continue after ``step`` steps; ``names`` are those of the losses.

        Raises:
            OutputError: the disk refuses; the same holds for all methods.
        """
        self.names = names
        self.path = folder / "log.csv"
        self.rows, before = _earlier(self.path, step, len(names) + 4) if self.path.exists() else ([], 0.0)
        self._events = Events(inside(folder, "tensorboard"), step)
        self._begun = time.perf_counter() - before

    def add(self, step: int, losses: Sequence[float], rate: float, empty: int) -> None:
        """Add a line.

        Args:
            empty: crops without a segmentation loss since the previous line.
        """
        seconds = time.perf_counter() - self._begun
        self.rows.append([step, *(f"{one:.6f}" for one in losses), f"{rate:.3g}", empty, f"{seconds:.1f}"])
        named = {f"loss/{name.removeprefix('L_')}": one for name, one in zip(self.names, losses, strict=True)}
        self._events.add(step, {**named, "lr": rate, "empty crops": float(empty)})

    def write(self) -> None:
        """Write the lines so far."""
        text = io.StringIO()
        csv.writer(text).writerows([["step", *self.names, "lr", "empty", "seconds"], *self.rows])
        write_bytes(self.path, text.getvalue().encode())
        self._events.flush()

    def close(self) -> None:
        """Write the log and close TensorBoard's file."""
        self.write()
        self._events.close()


def _earlier(path: Path, step: int, columns: int) -> tuple[list[list[Any]], float]:
    """Read the lines of a log up to ``step``, and the seconds until then."""
    try:
        text = io.StringIO(read_regular(path, _MAX_BYTES).decode(), newline="")
        rows: list[list[Any]] = [row for row in list(csv.reader(text))[1:] if int(row[0]) <= step]
        if any(len(row) != columns for row in rows):
            raise ValueError(f"expected {columns} columns")
        return rows, as_number(float(rows[-1][-1]), 0) if rows else 0.0
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise OutputError(f"{path} is damaged ({one_line(error, 120)}); delete it, and it begins again") from error


class Events:
    """A file of TensorBoard's events.

    PyTorch's SummaryWriter writes in a thread, which reports a full disk only by a traceback.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Begin a file; TensorBoard then ignores entries of other files in ``folder`` after ``step``."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self.folder = folder
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / name).open("ab")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), step=step, file_version="brain.Event:2"))
        begun = SessionLog(status=SessionLog.SessionStatus.START)
        self._write(Event(wall_time=time.time(), step=step + 1, session_log=begun))  # the first step to ignore
        self.flush()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers by name."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values_now = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values_now)))

    def flush(self) -> None:
        """Make the entries visible to readers."""
        with self._writing():
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._writing():
            self._file.close()

    def _write(self, event: Any) -> None:
        with self._writing():
            self._records.write(event.SerializeToString())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot write to {self.folder}: {error.strerror or error}; free the disk or choose another folder"
            ) from error
