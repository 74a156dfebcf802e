"""What tests of whole runs need: tiny data sets, tiny settings, and ways to call the command."""

import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from unittest.mock import patch

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

collect_ignore = ["fork_server.py"]  # a program, which imports its neighbours as such
_LINUX = re.compile(
    r"/dev/|/proc/|\bmkfifo\b|\bresource\.|\bsignal\.SIG(HUP|KILL)|\bAF_UNIX\b|\bpreexec_fn\b|\bwait4\b"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out tests that need the devices, pipes and signals of Linux where these are not."""
    for item in items if sys.platform != "linux" else ():
        if isinstance(item, pytest.Function):
            given = item.callspec.params.values() if hasattr(item, "callspec") else ()
            fixtures = [one[-1].func for one in item._fixtureinfo.name2fixturedefs.values()]
            functions = [item.function, *fixtures, *(one for one in given if isinstance(one, FunctionType))]
            if any(_LINUX.search(inspect.getsource(one)) for one in functions if _ours(one)):
                item.add_marker(pytest.mark.skip(reason="needs what only Linux has"))


def _ours(function: Any) -> bool:
    return isinstance(function, FunctionType) and (function.__module__ or "").startswith("tests")


def _keep_bytecode_of_others() -> None:
    """Let jaxtyping's import hook change where the bytecode of ``dhr`` lies, and of ``dhr`` alone.

    The hook changes it while a module is executed, so for all that the module imports too. PyTorch and the rest, 2,500
    files, would be compiled from their source by each test process.
    """
    hook = sys.modules.get("jaxtyping._import_hook")
    loader, place = getattr(hook, "_JaxtypingLoader", None), getattr(hook, "_optimized_cache_from_source", None)
    if loader is None or place is None:  # another version of jaxtyping: slower, and as right
        return

    def get_code(self: Any, name: str) -> Any:
        with patch("importlib._bootstrap_external.cache_from_source", partial(place, self._typechecker.get_hash())):
            return SourceFileLoader.get_code(self, name)

    loader.get_code, loader.exec_module = get_code, SourceFileLoader.exec_module


def _check_types_at_once() -> None:
    """Let functions without shapes be checked by the type checker itself.

    jaxtyping's wrapper prepares a check of shapes for every call of every function: half of the time of a tiny run.
    """
    shaped = jaxtyping.jaxtyped

    def jaxtyped(function: Any = None, *, typechecker: Any) -> Any:
        if function is None:
            return partial(jaxtyped, typechecker=typechecker)
        hints = getattr(function, "__annotations__", {}).values()
        if not isinstance(function, FunctionType) or not all(map(plain, hints)):
            return shaped(function, typechecker=typechecker)
        checked = typechecker(function)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return (function if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

        return call

    def plain(hint: Any) -> bool:
        """Whether a hint has neither shapes nor names in quotes, which jaxtyping looks up."""
        text = repr(hint)
        return "jaxtyping" not in text and (isinstance(hint, type) or not {"'", '"'} & set(text))

    jaxtyping.jaxtyped = jaxtyped


# Before the first module of dhr.
_keep_bytecode_of_others()
_check_types_at_once()

from dhr.cli import main  # noqa: E402
from dhr.data import SceneDataSet, write_mask  # noqa: E402
from dhr.files import TEMPORARY_SUFFIX  # noqa: E402

# An example that is slow because the machine is busy is no failure.
settings.register_profile("dhr", deadline=None)
settings.load_profile("dhr")

TINY = (
    *("--wss.backbone", "test_resnet", "--wss.weights", "none", "--wss.scales", "[1.0]"),
    *("--classifier.epochs", "2", "--classifier.batch", "3", "--classifier.crop", "32"),
    *("--classifier.save-minutes", "0"),
    *("--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]"),
)
"""Settings of a run that takes half a second, and needs no weights."""
TINY_SWIN = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}
TINY_MASK2FORMER = {
    **dict.fromkeys(("feature_size", "hidden_dim"), 64),
    **dict.fromkeys(("mask_feature_size", "encoder_feedforward_dim", "dim_feedforward"), 32),
    **{"num_attention_heads": 2, "encoder_layers": 1, "decoder_layers": 3, "num_queries": 6, "train_num_points": 64},
}


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Ended:
    """What a call of the command left behind."""

    code: int
    out: str
    err: str
    trace: tuple[str, ...] = ()
    peak_mb: float = 0.0
    codes: tuple[int, ...] = ()
    """Of each process, if there are several."""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A data folder, and where the masks of its photographs go."""

    data: Path
    out: Path

    def run(self, *more: str) -> list[str]:
        """Arguments of ``dhr run`` with tiny settings; later ones win."""
        return ["run", "--data", str(self.data), "--out", str(self.out), *TINY, *more]

    def evaluate(self, *more: str) -> list[str]:
        """Arguments of ``dhr evaluate``."""
        return ["evaluate", "--data", str(self.data), "--masks", str(self.out / "masks"), *more]

    def record(self) -> dict[str, Any]:
        """``run.json``; NaN and Infinity are no JSON, and fail."""
        return strict_json(self.out / "run.json")


def strict_json(path: Path) -> Any:
    """The content of a JSON file as other programs would read it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path}: {constant} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def write_scenes(root: Path, count: int = 5, size: tuple[int, int] = (48, 64)) -> Path:
    """Draw scenes, and write them as a data folder with truth; the last one lies in a sub-folder."""
    scenes = SceneDataSet(count, seed=0, size=size)
    lines = ["image,tags"]
    for sample in scenes.samples:
        name = f"trip/{sample.name}" if sample is scenes.samples[-1] else sample.name
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scenes.read_image(sample)).save(path)
        write_mask(root / "truth" / f"{name}.png", scenes.read_ground_truth(sample))
        lines.append(f"{name}.png,{';'.join(scenes.classes.names[tag] for tag in sample.tags)}")
    (root / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "classes.txt").write_text("\n".join(scenes.classes.names) + "\n", encoding="utf-8")
    return root


@pytest.fixture
def dhr(capfd: pytest.CaptureFixture[str]) -> Callable[[Sequence[str | Path]], Ended]:
    """Calls the command in this process, where the shapes of all arrays are checked."""

    def call(arguments: Sequence[str | Path]) -> Ended:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse's way to end
            code = error.code if isinstance(error.code, int) else 1
        caught = capfd.readouterr()
        return Ended(code, caught.out, caught.err)

    return call


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Case:
    root = tmp_path_factory.mktemp("finished")
    case = Case(write_scenes(root / "data"), root / "out")
    assert main(case.run()) == 0
    return case


@pytest.fixture
def fresh(_finished: Case, tmp_path: Path) -> Case:
    """Five photographs; nothing has been made of them."""
    shutil.copytree(_finished.data, tmp_path / "data")
    return Case(tmp_path / "data", tmp_path / "out")


@pytest.fixture
def finished(_finished: Case, tmp_path: Path) -> Case:
    """Five photographs, and a finished run; both a copy that a test may spoil."""
    shutil.copytree(_finished.data, tmp_path / "data")
    shutil.copytree(_finished.out, tmp_path / "out")
    return Case(tmp_path / "data", tmp_path / "out")


@dataclass
class Forks:
    """Calls the command in a process of its own, without the seconds that importing takes."""

    server: "subprocess.Popen[str]"
    folder: Path
    _count: int = field(default=0)

    def __call__(self, arguments: Sequence[str | Path], **job: Any) -> Ended:
        self.begin(arguments, **job)
        return self.end()

    def begin(self, arguments: Sequence[str | Path], **job: Any) -> Path:
        """Start the command; return the folder where its output appears, and its number in `pid`."""
        if job.get("watch") == "audit" and "COVERAGE_FILE" in os.environ:
            pytest.skip("coverage opens files and sockets of its own in each process")
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        assert self.server.stdin
        text = json.dumps({"arguments": [str(one) for one in arguments], "folder": str(folder), **job})
        self.server.stdin.write(text + "\n")
        self.server.stdin.flush()
        return folder

    def end(self) -> Ended:
        """Wait for its end."""
        assert self.server.stdout
        answer, folder = json.loads(self.server.stdout.readline()), self.folder / str(self._count)
        out, err, trace = ((folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr", "trace"))
        more = (f"stderr.{rank}" for rank in range(1, len(answer["codes"])))
        errors = (err, *((folder / name).read_text(encoding="utf-8") for name in more))
        shutil.rmtree(folder)
        return Ended(
            answer["code"], out, err, tuple(trace.splitlines()), answer["peak_mb"], (*answer["codes"],), errors
        )


@contextmanager
def serving(folder: Path) -> Iterator[Forks]:
    """Start a server of processes, which ends with the block."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as server:
        yield Forks(server, folder)
        assert server.stdin
        server.stdin.close()


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """See :class:`Forks`; the arguments of :class:`fork_server.Job` may follow."""
    if sys.platform != "linux":
        pytest.skip("needs fork() and /proc")
    with serving(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


def _contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: found[name].read_bytes() for name in sorted(found)}


@pytest.fixture(scope="session")
def calls() -> Callable[[Callable[[], Any]], int]:
    """How many functions a function calls, in Python and C, once its caches are filled: a cost that no other program
    changes. Shapes are not checked, as it is for users."""

    def count(function: Callable[[], Any]) -> int:
        with patch.object(jaxtyping.config, "jaxtyping_disable", True):
            return counted(function)

    def counted(function: Callable[[], Any]) -> int:
        function()
        found = 0

        def see(frame: Any, event: str, argument: Any) -> None:
            nonlocal found
            found += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(see)
        try:
            function()
        finally:
            sys.setprofile(before)
        return found

    return count


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """The files of a folder and what is in them."""
    return _contents


@pytest.fixture(scope="session")
def made() -> Callable[[Path], dict[str, Any]]:
    """What of an output folder has to be the same whenever the same run is made, by file."""

    def read(out: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, content in _contents(out).items():
            if name.endswith(TEMPORARY_SUFFIX) or name.startswith("work/"):
                continue
            if name.startswith(("masks/", "stages/", "cams/")) or name.endswith(".safetensors"):
                found[name] = content
            elif name.startswith("items/"):
                item = strict_json(out / name)
                assert item.pop("seconds") >= 0
                found[name] = item
        return found

    return read


def pack(out: Path, parts: int = 2, group: int = 2) -> Path:
    """Turn the masks and records of a finished run into Parquet files; return their folder."""
    import pyarrow.parquet as pq

    from dhr.data.samples import ClassTable
    from dhr.files import write_json
    from dhr.records.members import to_json
    from dhr.records.run import read_run
    from dhr.results.files import FileMasks
    from dhr.results.row import PARQUET, Row, rows_table, settings_digest

    run, masks = read_run(out / "run.json"), FileMasks(out / "masks")
    classes, digest = ClassTable(run.classes or (), bool(run.background)), settings_digest(run.identity)
    names = sorted(masks.names())
    rows = [Row(name, digest, masks.records.record(name), masks.mask(name).read_bytes()) for name in names]
    (out / "rows").mkdir()
    for part in range(parts):
        table = rows_table(rows[part::parts], classes)
        pq.write_table(table, out / "rows" / f"part-{part:05d}.parquet", **{**PARQUET, "row_group_size": group})
    write_json(out / "run.json", to_json(replace(run, rows=True)))
    for folder in ("masks", "items"):
        shutil.rmtree(out / folder)
    return out / "rows"


@pytest.fixture(scope="session")
def packed() -> Callable[..., Path]:
    """See :func:`pack`."""
    return pack


@pytest.fixture(scope="session")
def labels() -> Callable[[Path], np.ndarray]:
    """The class ids that a PNG stores."""

    def read(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            assert image.mode == "P"
            return np.array(image)

    return read


@pytest.fixture(scope="session")
def scenes() -> Callable[..., Path]:
    """See :func:`write_scenes`."""
    return write_scenes


@pytest.fixture(scope="session")
def new_case() -> Callable[[Path, Path], Case]:
    """A :class:`Case` of any two folders."""
    return Case


@pytest.fixture(scope="session")
def formats() -> ModuleType:
    """The functions of ``data/formats.py``: each published layout in miniature."""
    spec = importlib.util.spec_from_file_location("formats", Path(__file__).parent / "data" / "formats.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_mask2former() -> tuple[str, ...]:
    """Settings of a Mask2Former that takes a step in a moment, on a Swin with random weights."""
    for module in ("scipy", "transformers"):
        pytest.importorskip(module, reason="dhr[mask2former] is not installed")
    return (
        *("--student.kind", "mask2former", "--mask2former.model", "swin", "--mask2former.weights", "none"),
        *("--mask2former.backbone", json.dumps(TINY_SWIN), "--mask2former.options", json.dumps(TINY_MASK2FORMER)),
    )


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for users, whose shapes jaxtyping does not check."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


class NoSync(TorchDispatchMode):
    """Refuses every operation that makes the host wait for the device."""

    WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "item", "masked_select", "_unique2")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in self.WAITS:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def no_sync() -> TorchDispatchMode:
    """A context in which whatever waits for the device fails."""
    return NoSync()
