"""Commands that a soak disturbs: what each reads, what it makes, and what of that must always come out the same."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load

from dhr.data import FolderDataSet
from dhr.export.ledger import LEDGER
from dhr.files import TEMPORARY_SUFFIX
from dhr.models.config import WssConfig
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss.classifier import TagClassifier
from dhr.train.student_file import write_student

from ..conftest import TINY, Ended, Forks, write_scenes

_STUDENT = (
    *("--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]"),
    *("--student-training.batch", "2", "--student-training.crop", "32", "--student-training.steps", "3"),
    *("--student-training.optimiser", "adamw", "--student-training.save-every", "1"),
    *("--student-training.boundary", "none"),
)
_NETWORK = ("--uss.model", "test_vit", "--uss.weights", "none", "--uss.scales", "[1.0]")


@dataclass(frozen=True)
class Call:
    """A command; its paths are below a folder that :func:`write_stock` has filled."""

    arguments: Callable[[Path], list[str]]
    outputs: tuple[str, ...]
    kept: str = ""
    """The files of finished photographs, as a pattern: a call that goes on does not make them again."""


def _text(*parts: str) -> Callable[[Path], list[str]]:
    return lambda root: [part.replace("@", f"{root}/") for part in parts]


CALLS = {
    "run": Call(_text("run", "--data", "@data", "--out", "@new", *TINY), ("new",), "new/items/**/*.json"),
    "train": Call(
        _text(
            *("train", "--data", "@data", "--masks", "@out/masks", "--out", "@new", *TINY, *_STUDENT),
            *("--classifier.file", "@out/classifier.safetensors"),
        ),
        ("new",),
    ),
    "predict": Call(
        _text("predict", "--student", "@student", "--images", "@data/images", "--out", "@new"),
        ("new",),
        "new/items/**/*.json",
    ),
    "features": Call(
        _text("features", "--data", "@data", "--features", "@store", *_NETWORK), ("store",), "store/*/*/*.safetensors"
    ),
    "export": Call(
        _text("export", "--data", "@data", "--masks", "@out/masks", "--to", "yolo", "--out", "@new"), ("new",)
    ),
    "export coco": Call(
        _text("export", "--data", "@data", "--masks", "@out/masks", "--to", "coco", "--file", "@file"), ("file",)
    ),
    "evaluate": Call(
        _text(
            *("evaluate", "--data", "@data", "--masks", "@out/masks", "--resamples", "10"),
            *("--json", "@scores.json", "--csv", "@scores.csv"),
        ),
        ("scores.json", "scores.csv", "out/report.html"),
    ),
}


def write_stock(forks: Forks, root: Path, photographs: int = 3) -> Path:
    """Write photographs with tags and ground truth, a finished run of them, and a student."""
    data = write_scenes(root / "data", count=photographs)
    ended = forks(["run", "--data", data, "--out", root / "out", *TINY])
    assert ended.code == 0, ended.err
    classes = FolderDataSet(data).classes
    torch.manual_seed(0)
    tagger = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), len(classes.foreground))
    student = Student(tagger, StudentConfig(width=16, low_level=8, rates=(1, 2)), len(classes.names)).eval()
    write_student(root / "student", student, classes, 48)
    return root


def copy_stock(stock: Path, place: Path) -> Path:
    """Return a fresh copy of the stock at ``place``."""
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(stock, place))


def results(place: Path, call: Call, called: Path | None = None) -> dict[str, Any]:
    """What a call must always come to, by file: whatever depends neither on the time nor on the place.

    ``called`` is the place's path during the call, if it was moved since.
    """
    found, named = {}, str(called or place)
    for path in _files(place, call):
        name = path.relative_to(place).as_posix()
        parts = path.parts
        if path.suffix == ".lock" or "work" in parts or "tensorboard" in parts or path.suffix == ".html":
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            found[name] = _timeless(json.loads(content.decode().replace(named, "PLACE")))
        elif path.name == "log.csv":
            found[name] = content.count(b"\n")
        elif path.name == LEDGER:  # photographs that failed come after the others
            found[name] = sorted({*content.splitlines()})
        elif path.name != "settings.yaml":
            found[name] = content.replace(named.encode(), b"PLACE")
    return found


_VOLATILE = (
    "changed",
    "turn",
    "seconds",
    "time",
    "peak_mb",
    "memory",
    "stages",
    "notes",
    "written",
    "computed",
    "made",
)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items() if name not in _VOLATILE}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def _files(place: Path, call: Call) -> list[Path]:
    roots = [place / name for name in call.outputs]
    found = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    return [path for path in found if path.is_file() and not path.name.endswith(TEMPORARY_SUFFIX)]


def check_whole(place: Path, call: Call) -> None:
    """Assert that every file under a final name can be read to its end."""
    for path in _files(place, call):
        content = path.read_bytes()
        try:
            _read(path, content)
        except Exception as error:
            raise AssertionError(f"{path.relative_to(place)} cannot be read: {error!r}") from error


def _read(path: Path, content: bytes) -> None:
    match path.suffix:
        case ".lock":
            pass
        case ".png" | ".jpg":
            Image.open(BytesIO(content)).load()
        case ".npz":
            assert [*np.load(BytesIO(content)).values()]
        case ".safetensors" | ".checkpoint":
            load(content)
        case ".json":
            json.loads(content)
        case ".html":
            assert content.rstrip().endswith(b"</html>"), "its end is missing"
        case ".csv":
            assert path.name == "log.csv" or content.endswith(b"\n"), "its end is missing"
        case _ if path.name == "file":
            json.loads(content)


def stamps(place: Path, call: Call) -> dict[str, tuple[int, int]]:
    """The finished photographs, and which file each is: one that was made again is another."""
    if not call.kept:
        return {}
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in place.glob(call.kept)}


def told(ended: Ended) -> None:
    """Assert that a call ended with a code of dhr, and failed with one line.

    The first calls on a machine may say before it that they compile.
    """
    assert ended.code in (0, 1, 2), f"code {ended.code}: {ended.err[-1500:]}"
    assert "Traceback" not in ended.err + ended.out, ended.err[-1500:]
    if ended.code == 2:
        lines = [line for line in ended.err.splitlines() if not line.startswith("compiling kernels")]
        assert len(lines) == 1 and lines[0].startswith("dhr: ") and ended.err.endswith("\n"), ended.err[-1500:]
