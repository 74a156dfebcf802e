"""Folders of exports that somebody sent, masks and outputs that are no files, two exports into one folder."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.data import write_mask
from dhr.errors import OutputError
from dhr.export.ledger import LEDGER, Ledger
from dhr.locks import hold


@pytest.fixture
def small(plain: Callable[..., Any]) -> Any:
    random = np.random.default_rng(0)
    names = ("background", "cat", "dog", "owl")
    return plain({name: random.integers(0, 4, (9, 7), np.uint8) for name in ("a", "b", "trip/c")}, names)


def add_line(out: Path, **line: Any) -> None:
    with (out / LEDGER).open("a") as file:
        file.write(json.dumps({"split": "", "name": "gone", "digest": "aa", "files": [], **line}) + "\n")


@pytest.mark.parametrize("file", ["more/diary.txt", "more/deep/diary.txt", "trip/more/diary.txt"])
def test_nothing_below_a_link_is_deleted(file: str, small: Any, tmp_path: Path) -> None:
    private = tmp_path / "private"
    (private / "deep").mkdir(parents=True)
    (private / "diary.txt").write_text("precious")
    (private / "deep" / "diary.txt").write_text("precious")
    out = tmp_path / "out"
    small.export("png", out)
    (out / Path(file).parts[0] if not file.startswith("trip") else out / "trip" / "more").symlink_to(private)
    add_line(out, files=[file])
    done = small.export("png", out)
    assert [problem.source for problem in done.problems] == ["gone"]
    assert "is a link, which is not followed" in done.problems[0].reason
    assert (private / "diary.txt").exists() and (private / "deep" / "diary.txt").exists()


def test_of_a_link_the_link_is_deleted(small: Any, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    out = tmp_path / "out"
    small.export("png", out)
    (out / "link").symlink_to(tmp_path / "precious")
    add_line(out, files=["link"])
    small.export("png", out)
    assert not (out / "link").is_symlink() and (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    "file", ["../precious", "/etc/hostname", "a/../../precious", "..\\precious", "C:\\precious", "", "a\0b"]
)
def test_a_line_that_leads_out_is_damage(file: str, small: Any, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    out = tmp_path / "out"
    small.export("png", out)
    add_line(out, files=[file])
    with pytest.raises(OutputError, match=r"line 5 is damaged \(a path leads out") as error:
        small.export("png", out)
    assert len(str(error.value).splitlines()) == 1 and (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "[]",
        "3",
        '{"split": "", "name": "a", "digest": "1"}',
        '{"split": "", "name": "a", "digest": "1", "files": "a.png"}',
        '{"split": "", "name": "a", "digest": "1", "files": [3]}',
        '{"split": 1, "name": "a", "digest": "1", "files": []}',
        '{"split": "", "name": null, "digest": "1", "files": []}',
        '{"split": "", "name": "a", "digest": 1' + "0" * 400 + ', "files": []}',
        '{"split": "", "name": "a", "name": "b", "digest": "1", "files": []}',
        "\x80",
    ],
)
@pytest.mark.parametrize("place", [0, 2])
def test_a_damaged_line_is_named(line: str, place: int, small: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small.export("png", out)
    lines = (out / LEDGER).read_bytes().splitlines()
    lines[place] = line.encode("latin-1")
    (out / LEDGER).write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(OutputError, match=rf"line {place + 1} is damaged|another export") as error:
        small.export("png", out)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 500


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "broken link"])
@pytest.mark.parametrize("to", ["png", "yolo"])
def test_something_else_in_the_place_of_a_file_concerns_that_photograph(
    kind: str, to: str, small: Any, tmp_path: Path
) -> None:
    pytest.importorskip("cv2")
    out, precious = tmp_path / "out", tmp_path / "precious"
    precious.write_text("kept")
    small.export(to, out)
    file = out / ("a.png" if to == "png" else "labels/train/a.txt")
    file.unlink()
    if kind.endswith("link"):
        file.symlink_to(precious if kind == "link" else tmp_path / "nowhere")
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(file)
    write_mask(small.folder / "a.png", np.ones((9, 7), np.uint8))  # a mask that is to be written again
    before = file.lstat()
    done = small.export(to, out)
    assert [problem.source for problem in done.problems] == ["a"] and done.masks == 2
    assert "has this name, and is not replaced" in done.problems[0].reason
    assert file.lstat().st_ino == before.st_ino and precious.read_text() == "kept"


def test_a_folder_that_is_a_link_concerns_what_lies_in_it(small: Any, tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    small.export("png", out)
    (out / "trip").rename(outside)
    (out / "trip").symlink_to(outside)
    write_mask(small.folder / "trip" / "c.png", np.ones((9, 7), np.uint8))
    before = (outside / "c.png").read_bytes()
    done = small.export("png", out)
    assert done.masks == 2 and "trip/c" in [problem.source for problem in done.problems]
    assert (outside / "c.png").read_bytes() == before


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_ledger_that_is_no_file_is_refused(kind: str, small: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small.export("png", out)
    content = (out / LEDGER).read_bytes()
    (out / LEDGER).unlink()
    if kind == "pipe":
        os.mkfifo(out / LEDGER)
    elif kind == "folder":
        (out / LEDGER).mkdir()
    else:
        (tmp_path / "elsewhere").write_bytes(content)
        (out / LEDGER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError) as error:
        small.export("png", out)
    assert len(str(error.value).splitlines()) == 1


def test_one_export_at_a_time(small: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small.export("png", out)
    content = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    code = (
        "import sys, time; from pathlib import Path; from dhr.locks import hold; from dhr.export.ledger import LEDGER\n"
        "lock = hold(Path(sys.argv[1]), LEDGER); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=r"another process is writing to .*; wait for it") as error:
            small.export("png", out)
        holder.communicate("")
    assert len(str(error.value).splitlines()) == 1
    assert {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()} == content
    assert small.export("png", out).kept == 3


def test_a_ledger_is_held_while_it_is_used(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from dhr.locks import hold; hold(Path(sys.argv[1]), sys.argv[2])"
    call = [sys.executable, "-c", code, str(tmp_path / "out"), LEDGER]
    with Ledger(tmp_path / "out", {"format": "png"}, "") as ledger:
        ledger.add("a", "1", ["a.png"])
        assert subprocess.run(call, capture_output=True, check=False).returncode == 1
    assert subprocess.run(call, capture_output=True, check=False).returncode == 0
    hold(tmp_path / "out", LEDGER).close()


@pytest.mark.parametrize("to", ["png", "coco", "cvat"])
def test_a_mask_that_is_no_file_is_left_out(to: str, small: Any, tmp_path: Path) -> None:
    (small.folder / "a.png").unlink()
    os.mkfifo(small.folder / "a.png")
    with (small.folder / "b.png").open("r+b") as file:
        file.truncate(5_000_000_000)  # sparse: it takes no room
    done = small.export(to, tmp_path / "out")
    assert {problem.source: problem.reason.partition(": the mask")[2] for problem in done.problems} == {
        "a": " cannot be read: it is a named pipe, not a regular file; make it first",
        "b": " cannot be read: the file has 5000 MB, over the limit of 1000 MB; make it first",
    }


def test_a_file_of_annotations_can_be_written_into_a_pipe(small: Any, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    small.export("coco", tmp_path / "file.json")
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    thread.start()
    small.export("coco", pipe)
    thread.join(60)
    assert got == [(tmp_path / "file.json").read_bytes()] and pipe.is_fifo()


@pytest.mark.parametrize("to", ["coco", "cvat"])
def test_an_output_that_is_a_link_stays_one(to: str, small: Any, tmp_path: Path) -> None:
    small.export("coco", tmp_path / "earlier.json")
    before = (tmp_path / "earlier.json").read_bytes()
    (tmp_path / "empty").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / ("earlier.json" if to == "coco" else "empty"))
    with pytest.raises(OutputError, match="link"):
        small.export(to, link)
    assert link.is_symlink() and (tmp_path / "earlier.json").read_bytes() == before
