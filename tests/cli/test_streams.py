"""Printing that fails, and signals that end the work: neither costs what was done."""

import errno
import io
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dhr.cli import main
from dhr.cli.signals import Ended, ended_by_signals
from dhr.cli.streams import Stream, standard_streams

FULL = Path("/dev/full")
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def masks(case: Any) -> int:
    return len(list((case.out / "masks").rglob("*.png")))


def test_a_run_that_nobody_reads_makes_its_masks(fresh: Any, forks: Any) -> None:
    ended = forks(fresh.run(), stdout="closed")
    assert (ended.code, ended.err) == (0, "")
    assert masks(fresh) == 5
    assert fresh.record()["status"] == "finished"


def test_scores_that_nobody_reads_are_written(finished: Any, forks: Any, tmp_path: Path) -> None:
    ended = forks(finished.evaluate("--json", str(tmp_path / "scores.json")), stdout="closed")
    assert (ended.code, ended.err) == (0, "")
    assert (tmp_path / "scores.json").stat().st_size > 100


@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
def test_a_full_disk_is_said_in_one_line_when_all_is_done(finished: Any, forks: Any, tmp_path: Path) -> None:
    commands = {
        "evaluate": finished.evaluate("--json", str(tmp_path / "scores.json")),
        "run": finished.run(),
        "inspect": ["inspect", "--data", str(finished.data)],
        "export": [
            *("export", "--data", str(finished.data), "--masks", str(finished.out / "masks"), "--to", "png"),
            *("--out", str(tmp_path / "exported")),
        ],
        "models": ["models"],
        "help": ["run", "--help"],
    }
    for name, arguments in commands.items():
        ended = forks(arguments, stdout=str(FULL))
        assert ended.code == 2, name
        assert ended.err.count("\n") == 1 and "No space left" in ended.err, (name, ended.err)
    assert (tmp_path / "scores.json").stat().st_size > 100
    assert len(list((tmp_path / "exported").rglob("*.png"))) == 5


def test_an_error_keeps_its_line_where_nobody_reads(forks: Any, tmp_path: Path) -> None:
    for stdout in ("closed", str(FULL) if FULL.exists() else "closed"):
        ended = forks(["inspect", "--data", tmp_path / "nowhere"], stdout=stdout)
        assert ended.code == 2 and ended.err.count("\n") == 1 and "nowhere" in ended.err


class _Broken(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, "broken")


@pytest.mark.parametrize(("number", "told"), [(errno.EPIPE, False), (errno.EIO, False), (errno.ENOSPC, True)])
def test_printing_that_fails_raises_nothing(number: int, told: bool) -> None:
    stream = Stream(_Broken(number))
    assert stream.write("text") == 4
    stream.flush()
    assert (stream.failure is not None) == told


def test_characters_that_the_stream_lacks_are_escaped() -> None:
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("caf\u00e9 \u82b1\n")
    stream.flush()
    assert raw.getvalue() == b"caf\\xe9 \\u82b1\n"


def test_streams_are_those_of_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it where it was closed
    before = sys.stdout, sys.stderr
    with standard_streams() as out:
        assert sys.stdout is out
        print("to nobody")
    assert (sys.stdout, sys.stderr) == before


# Signals


@pytest.fixture
def default_signals() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_work_with_one_line(
    number: signal.Signals, default_signals: None, monkeypatch: pytest.MonkeyPatch, dhr: Any
) -> None:
    monkeypatch.setattr("dhr.cli.call", lambda arguments: lambda: signal.raise_signal(number))
    ended = dhr(["run"])
    assert ended.code == 128 + number
    assert ended.err == f"dhr: ended by {number.name}; the same command goes on where it stopped\n"
    assert signal.getsignal(number) is signal.SIG_DFL


def test_ignored_signals_stay_ignored(default_signals: None) -> None:
    """As nohup has it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_by_signals():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGTERM)


def test_in_another_thread_signals_are_left_alone() -> None:
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["models"])))
    thread.start()
    thread.join()
    assert codes == [0]
