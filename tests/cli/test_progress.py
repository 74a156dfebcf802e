import io

import pytest

from dhr.cli.progress import Bars
from dhr.cli.terminal import Terminal
from dhr.progress import Step


def shown(terminal: bool, stages: dict[str, int]) -> str:
    file = io.StringIO()
    with Bars(Terminal(file=file, force_terminal=terminal, width=120)) as bars:
        for stage, total in stages.items():
            for done in range(total + 1):
                bars(Step(stage, done, total))
    return file.getvalue()


def test_a_log_gets_few_lines() -> None:
    text = shown(False, {"scan": 5000, "masks": 5000})
    lines = text.splitlines()
    assert 2 <= len(lines) <= 6
    assert "scan: 5000 of 5000 photographs" in lines and lines[-1] == "masks: 5000 of 5000 photographs"
    assert "\x1b" not in text and "\r" not in text


def test_a_terminal_gets_a_bar_for_each_stage() -> None:
    text = shown(True, {"scan": 20, "masks": 30})
    assert "\x1b" in text and "━" in text
    assert "20/20" in text and "30/30" in text
    assert "scan:" not in text


def test_a_stage_may_begin_in_its_middle() -> None:
    file = io.StringIO()
    with Bars(Terminal(file=file, force_terminal=True, width=120)) as bars:
        bars(Step("masks", 7, 10))
    assert "7/10" in file.getvalue()


def test_a_stage_of_nothing_ends() -> None:
    assert shown(False, {"masks": 0}).splitlines() == ["masks: 0 of 0 photographs"]


def test_slow_work_has_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph every 40 seconds is not shown as 0.0 photographs per second."""
    file, clock = io.StringIO(), iter([0.0, 40.0])
    monkeypatch.setattr("dhr.cli.progress.time.monotonic", lambda: next(clock))
    bars = Bars(Terminal(file=file))
    bars(Step("masks", 0, 12))
    bars(Step("masks", 1, 12))
    assert file.getvalue().splitlines()[-1] == "masks: 1 of 12 photographs, 40 s each, 7 min left"
