"""Every command opens its inputs, its outputs, and what the interpreter needs: nothing else, and no connection.

The trace has what Python reports. Libraries in C can open files unseen, so the folders are compared as well.
"""

import json
import os
import shutil
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import dhr
from dhr.cli.table import COMMANDS
from dhr.data import FolderDataSet
from dhr.files import TEMPORARY_SUFFIX
from dhr.models.config import WssConfig
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss.classifier import TagClassifier
from dhr.train.student_file import write_student

from ..conftest import TINY, pack

NETWORK = ("--uss.model", "test_vit", "--uss.weights", "none", "--uss.scales", "[1.0]")
STUDENT = (
    *("--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]"),
    *("--student-training.batch", "2", "--student-training.crop", "32", "--student-training.steps", "2"),
    *("--student-training.boundary", "none"),
)
HEAD = ("--head.epochs", "1", "--head.crops", "1", "--head.side", "64", "--head.code", "5")


@dataclass(frozen=True)
class Place:
    """A copy of everything that the cases read, for one of them."""

    root: Path

    def __getattr__(self, name: str) -> str:
        return str(self.root / name)


@dataclass(frozen=True)
class Case:
    """A call of a command: its inputs and outputs are the files and folders of a :class:`Place`."""

    arguments: Callable[[Place], list[str]]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    serves: bool = False
    """Whether it answers requests on this machine until it is ended."""


CASES = {
    "inspect": [
        Case(lambda at: ["inspect", "--data", at.data, "--out", at.new, "--json", at.file], ("data",), ("new", "file")),
    ],
    "manifest": [Case(lambda at: ["manifest", "--data", at.data, "--file", at.file], ("data",), ("file",))],
    "plan": [Case(lambda at: ["plan", "--data", at.data, *TINY], ("data",), ("temporary",))],
    "run": [
        Case(lambda at: ["run", "--data", at.data, "--out", at.new, *TINY], ("data",), ("new",)),
        Case(  # goes on, with features that are kept, and a student
            lambda at: [
                *("run", "--data", at.data, "--out", at.new, "--features", at.store, "--recursion", *TINY, *STUDENT),
                *("--classifier.file", f"{at.out}/classifier.safetensors"),
            ],
            ("data", "out/classifier.safetensors"),
            ("new", "store"),
        ),
    ],
    "review": [
        Case(
            lambda at: ["review", "--run", at.out, "--data", at.data, "--no-open-browser"],
            ("data",),
            ("out",),
            serves=True,
        ),
    ],
    "update": [Case(lambda at: ["update", "--run", at.out, "--data", at.data], ("data",), ("out",))],
    "train": [
        Case(
            lambda at: [
                *("train", "--data", at.data, "--masks", f"{at.out}/masks", "--out", at.new, *TINY, *STUDENT),
                *("--classifier.file", f"{at.out}/classifier.safetensors"),
            ],
            ("data", "out"),
            ("new",),
        ),
    ],
    "predict": [
        Case(
            lambda at: [
                *("predict", "--student", at.student, "--images", f"{at.data}/images", "--out", at.new),
                *("--tags", f"{at.data}/tags.csv"),
            ],
            ("student", "data/images", "data/tags.csv"),
            ("new",),
        ),
    ],
    "evaluate": [
        Case(
            lambda at: [
                *("evaluate", "--data", at.data, "--masks", f"{at.out}/masks", "--json", at.file, "--csv", at.table),
                *("--resamples", "20"),
            ],
            ("data", "out"),
            ("file", "table", "out/report.html"),
        ),
    ],
    "compare": [
        Case(
            lambda at: [
                *("compare", "--data", at.data, "--out", at.new, "--rows", "CAM: step=cam", "DHR:", "--resamples", "0"),
                *("--classifier.file", f"{at.out}/classifier.safetensors", *TINY),
            ],
            ("data", "out/classifier.safetensors"),
            ("new",),
        ),
    ],
    "export": [
        Case(
            lambda at, more=more: ["export", "--data", at.data, "--masks", f"{at.out}/masks", *more, at.new],
            ("data", "out"),
            ("new",),
        )
        for more in (("--to", "coco", "--file"), ("--to", "datumaro", "--out"))
    ],
    "unpack": [Case(lambda at: ["unpack", "--run", at.rowed, "--out", at.new], ("rowed",), ("new",))],
    "import": [
        Case(
            lambda at: ["import", "--run", at.out, "--data", at.data, "--from", "coco", at.mended],
            ("data", "mended"),
            ("out",),
        ),
    ],
    "adjacency": [
        Case(
            lambda at: [
                *("adjacency", "--ground-truth", f"{at.data}/truth", "--masks", f"{at.out}/masks", "--json", at.file),
            ],
            ("data/truth", "data/classes.txt", "out/masks", "out/run.json"),
            ("file",),
        ),
    ],
    "features": [
        Case(
            lambda at: ["features", "--data", at.data, "--features", at.store, "--pca", "4", "--bits", "8", *NETWORK],
            ("data",),
            ("store",),
        ),
    ],
    "train-head": [
        Case(
            lambda at: ["train-head", "--kind", "stego", "--data", at.data, "--out", at.new, *NETWORK, *HEAD],
            ("data",),
            ("new",),
        ),
    ],
    "onnx": [
        Case(lambda at: ["onnx", "--student", at.student, "--file", at.file], ("student",), ("file", "temporary")),
    ],
    "models": [Case(lambda at: ["models", "--json", at.file], (), ("file",))],
    "settings": [Case(lambda at: ["settings", "method.tau"])],
    "demo": [Case(lambda at: ["demo", "--scenes", "2", "--out", at.new], (), ("new",))],
    "completion": [Case(lambda at: ["completion", "bash"])],
}
"""By command, each in its usual form; longer forms where other files come in."""

MACHINE = ("/proc", "/sys", "/etc/os-release", "/usr/share/zoneinfo")
SYSTEM = (sys.prefix, sys.base_prefix, os.devnull, "/dev/urandom", *MACHINE)
"""The interpreter, its libraries, and what describes the machine. Arrow reads the table of time zones."""
HARMLESS = ("socket.gethostname",)
"""The name of this machine, which TensorBoard puts into the names of its files. It is sent nowhere."""
SLOW = ("onnx", "demo")
OURS = Path(dhr.__file__).parent
SCRATCH = (os.devnull, "/proc/self/clear_refs", *(OURS / name / "__pycache__" for name in ("ops", "evaluate")))
"""The second one starts the count of the highest memory again. The last ones keep what numba has compiled."""


@pytest.fixture(scope="module")
def stock(forks: Any, scenes: Any, new_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with tags and ground truth, a finished run, also with rows, its masks as COCO has them, a student."""
    root = tmp_path_factory.mktemp("stock")
    case = new_case(scenes(root / "data", count=3), root / "out")
    ended = forks(case.run())
    assert ended.code == 0, ended.err
    export = ["export", "--data", case.data, "--masks", case.data / "truth", "--to", "coco", "--file", root / "mended"]
    assert forks(export).code == 0
    pack(shutil.copytree(case.out, root / "rowed"))
    classes = FolderDataSet(case.data).classes
    torch.manual_seed(0)
    tagger = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), len(classes.foreground))
    student = Student(tagger, StudentConfig(width=16, low_level=8, rates=(1, 2)), len(classes.names)).eval()
    write_student(root / "student", student, classes, 48)
    return root


@pytest.fixture
def place(stock: Path, tmp_path: Path) -> Place:
    shutil.copytree(stock, tmp_path / "place")
    for name in ("home", "temporary", "here"):
        (tmp_path / "place" / name).mkdir()
    return Place(tmp_path / "place")


def state(root: Path, writes: tuple[str, ...]) -> dict[str, tuple[bytes | None, int]]:
    """Contents and times of all files and folders below, without those that may be written."""
    found = {}
    for path in root.rglob("*"):
        if not within(str(path), [root / name for name in writes]):
            content = path.read_bytes() if path.is_file() else None
            found[str(path)] = (content, path.stat().st_mtime_ns if content is not None else 0)
    return found


def within(path: str, places: Any) -> bool:
    return any(path == str(place) or path.startswith(f"{place}{os.sep}") for place in places)


def may_write(path: str, writes: list[Path]) -> bool:
    """Whether it belongs to an output: itself, the file or folder that is renamed to it, the folder that it lies in."""
    if within(path, [*writes, *SCRATCH]) or path in {str(place.parent) for place in writes}:
        return True
    if within(path, [sys.prefix]) and "__pycache__" in Path(path).parts:  # bytecode of a library that is imported first
        return True
    parents = {place.parent for place in writes}
    return any(
        one.name.startswith(".") and one.name.endswith(TEMPORARY_SUFFIX) and one.parent in parents
        for one in (Path(path), *Path(path).parents)
    )


def visit(forks: Any, arguments: list[str], **job: Any) -> Any:
    """Start the review, decide on a photograph, and end it as Ctrl-C does."""
    folder = forks.begin(arguments, **job)
    while not (url := shown(folder / "stdout")):
        time.sleep(0.01)
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.status == 200
    body = json.dumps({"state": "accepted", "revision": 0}).encode()
    request = urllib.request.Request(url + "api/photographs/0/decide", body, {"X-Review": "1"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.loads(answer.read())["revision"] > 0
    os.kill(int((folder / "pid").read_text()), signal.SIGINT)
    return forks.end()


def shown(file: Path) -> str:
    """The address that a review has printed, if its line is complete."""
    text = file.read_text() if file.exists() else ""
    return next(
        (line.strip() for line in text.splitlines(keepends=True) if line.startswith("http") and "\n" in line), ""
    )


def test_every_command_has_a_case() -> None:
    assert CASES.keys() == COMMANDS.keys(), "a new command needs a line in CASES"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{name}-{index}", marks=[pytest.mark.slow] if name in SLOW else [])
        for name, cases in CASES.items()
        for index, case in enumerate(cases)
    ],
)
def test_it_touches_its_inputs_and_outputs_alone(case: Case, place: Place, forks: Any) -> None:
    reads, writes = ([place.root / name for name in names] for names in (case.reads, case.writes))
    before = state(place.root, case.writes)
    temporary = dict.fromkeys(("TMPDIR", "TORCHINDUCTOR_CACHE_DIR"), place.temporary)
    home = {"HOME": place.home, "XDG_CACHE_HOME": f"{place.home}/cache", **temporary}
    job = {"watch": "audit", "environment": home, "cwd": place.here}
    ended = (visit if case.serves else lambda forks, *args, **more: forks(*args, **more))(
        forks, case.arguments(place), **job
    )
    assert ended.code == 0, ended.err
    for path in writes:
        assert path.exists(), f"{path} was not written: the case shows less than it claims"
    events = [line.partition(" ")[::2] for line in ended.trace]
    assert events[0][0] == "socket.__new__", "the watch works"
    changed = {path for event, path in events if event == "write" and not may_write(path, writes)}
    assert not changed
    known = [*reads, *writes, *SYSTEM, OURS, place.here]
    assert not {path for event, path in events if event in ("open", "list") and not within(path, known)}
    assert not [event for event in events if event[0] in ("start", "unpickle")]
    sockets = [event for event in events[1:] if event[0].startswith("socket.") and event[0] not in HARMLESS]
    if case.serves:
        assert all("127.0.0.1" in text for event, text in sockets if event != "socket.__new__"), sockets
        assert "socket.connect" not in {event for event, _ in sockets}
    else:
        assert not sockets
    assert state(place.root, case.writes) == before
