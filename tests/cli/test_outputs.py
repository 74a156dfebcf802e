"""Files that the user names: written into where they are pipes or devices, never replaced, known before long work."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def call(fresh: Any) -> Callable[[str, Path], list[str]]:
    """The shortest call of a command with one output."""

    def arguments(option: str, path: Path) -> list[str]:
        command, _, name = option.partition(" ")
        data = str(fresh.data)
        more = {
            "evaluate": ["--masks", f"{data}/truth", "--resamples", "0"],
            "inspect": [],
            "adjacency": [],
            "export": ["--masks", f"{data}/truth", "--to", "coco"],
        }[command]
        return [command, "--data", data, *more, name, str(path)]

    return arguments


OPTIONS = ["evaluate --json", "evaluate --csv", "inspect --json", "inspect --file", "adjacency --json", "export --file"]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_pipe_is_written_into(option: str, call: Any, dhr: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert dhr(call(option, file)).code in (0, 1)
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    thread.start()
    ended = dhr(call(option, pipe))
    thread.join(60)
    assert ended.code in (0, 1), ended.err
    assert got == [file.read_bytes()] and pipe.is_fifo()


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", ["link", "broken link", "folder", "below a file"])
def test_what_cannot_be_written_is_known_before_long_work(
    kind: str, option: str, call: Any, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious, path = tmp_path / "precious", tmp_path / "output"
    precious.write_text("kept")
    if kind.endswith("link"):
        path.symlink_to(precious if kind == "link" else tmp_path / "nowhere")
    elif kind == "folder":
        path.mkdir()
    else:
        path = precious / "below"
    before = sorted(one.name for one in tmp_path.iterdir())

    def refuse(*_: Any) -> None:
        raise AssertionError("photographs are read")

    monkeypatch.setattr("dhr.data.folder.FolderDataSet.read_image", refuse)
    ended = dhr(call(option, path))
    assert ended.code == 2 and len(ended.err.splitlines()) == 1, ended.err
    assert precious.read_text() == "kept" and sorted(one.name for one in tmp_path.iterdir()) == before


@pytest.mark.parametrize("option", OPTIONS)
def test_a_full_device_is_one_line(option: str, call: Any, dhr: Any) -> None:
    ended = dhr(call(option, Path("/dev/full")))
    assert ended.code == 2 and len(ended.err.splitlines()) == 1
    assert "No space left on device" in ended.err
    assert Path("/dev/full").is_char_device()
