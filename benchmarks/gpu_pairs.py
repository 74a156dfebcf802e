"""Speed of ``dhr run`` and ``dhr predict`` with pairs of networks, for ``gpu.py``."""

import contextlib
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from gpu_inputs import Size, write_photographs

from dhr.api.data import open_data
from dhr.data.image_config import ImageConfig
from dhr.data.samples import DataSet
from dhr.job.predict import predict
from dhr.job.predict_config import PredictConfig
from dhr.job.run import Outcome, run
from dhr.job.settings import RunConfig
from dhr.models.config import StudentConfig, WssConfig
from dhr.models.student.network import Student
from dhr.models.wss.classifier import TagClassifier
from dhr.sources import Given, build_source
from dhr.sources.weights_file import write_weights
from dhr.train.student_file import write_student


@dataclass(frozen=True)
class Pair:
    """Networks for the tags and for the USS features."""

    wss: str
    uss: str


PAIRS = {
    "mobilenetv2_vit_tiny": Pair("mobilenetv2_100", "vit_tiny_patch16_224"),
    "resnet50_vit_small": Pair("resnet50", "vit_small_patch16_224"),
    "resnet101_vit_base": Pair("resnet101", "vit_base_patch16_224"),
}
SMALL = Pair("test_resnet", "test_vit")


def mobilenetv2_vit_tiny(device: torch.device, small: bool) -> dict[str, Any]:
    """See :func:`pair_figures`."""
    return pair_figures("mobilenetv2_vit_tiny", device, small)


def resnet50_vit_small(device: torch.device, small: bool) -> dict[str, Any]:
    """See :func:`pair_figures`."""
    return pair_figures("resnet50_vit_small", device, small)


def resnet101_vit_base(device: torch.device, small: bool) -> dict[str, Any]:
    """See :func:`pair_figures`."""
    return pair_figures("resnet101_vit_base", device, small)


def pair_settings(pair: Pair, side: int, device: torch.device) -> RunConfig:
    """Default settings with these networks, their weights random; the classifier sees three scales and mirrors them."""
    settings = RunConfig(device=str(device), stages=False)
    return replace(
        settings,
        image=ImageConfig(long_side=max(32, side)),
        wss=replace(settings.wss, backbone=pair.wss, weights="none", scales=(1.0, 1.5, 2.0), flip=True),
        uss=replace(settings.uss, model=pair.uss, weights="none"),
    )


def write_classifier(data: DataSet, config: RunConfig, root: Path) -> RunConfig:
    """Write a classifier of random weights; return settings that read it."""
    torch.manual_seed(0)
    given = Given(config, data.classes, torch.device("cpu"))
    source: Any = build_source(given)
    file = root / "classifier.safetensors"
    write_weights(file, source.network.tag_state(), given)
    return replace(config, classifier=replace(config.classifier, file=file))


def run_once(data: DataSet, out: Path, config: RunConfig) -> Outcome:
    """Make the masks; every photograph must get one."""
    made = run(data, out, config)
    if made.masks != len(data.samples):
        raise RuntimeError(f"{made.masks} masks of {len(data.samples)} photographs: {made.skipped[:3]}")
    return made


def pair_figures(name: str, device: torch.device, small: bool) -> dict[str, Any]:
    """Photographs per second of run and predict, and how busy the card is meanwhile."""
    pair, side = (SMALL if small else PAIRS[name]), Size.of(small).side
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        warm = open_data(write_photographs(root / "warm", 2 if small else 16, 1 if small else 2, side))
        data = open_data(write_photographs(root / "data", 4 if small else 40, 1 if small else 12, side))
        config = write_classifier(data, pair_settings(pair, side, device), root)
        run_once(warm, root / "warm run", config)
        with Busy(device) as busy:
            made = run_once(data, root / "run", config)
        stages = {one.name: one.seconds or 0.0 for one in made.stages}
        working = sum(stages.get(name, 0.0) for name in ("survey", "masks"))
        found["run_per_second"] = len(data.samples) / working
        found["run_stages"] = stages
        found["run_busy_of_all"] = busy.mean
        student = write_random_student(root / "student.safetensors", config, data)
        settings = PredictConfig(device=str(device))
        predict(student, root / "warm" / "images", root / "warm predict", settings)
        with Busy(device) as looking:
            start = time.perf_counter()
            predicted = predict(student, root / "data" / "images", root / "predict", settings)
            seconds = time.perf_counter() - start
        if predicted.masks != len(data.samples):
            raise RuntimeError(f"{predicted.masks} masks of {len(data.samples)} photographs")
        found["predict_per_second"] = len(data.samples) / seconds
        found["busy"] = {"run": busy.highest_half, "predict": looking.highest_half}
        found["gpu_memory_mb"] = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None
    return found


def write_random_student(path: Path, config: RunConfig, data: DataSet) -> Path:
    """Write a student of random weights."""
    torch.manual_seed(0)
    tagger = TagClassifier(replace(WssConfig(), **_same(config.wss)), len(data.classes.foreground))
    student = Student(tagger, StudentConfig(), len(data.classes.names))
    write_student(path, student, data.classes, config.image.long_side)
    return path


def _same(wss: WssConfig) -> dict[str, Any]:
    return {"backbone": wss.backbone, "weights": "none", "output_stride": wss.output_stride}


@dataclass
class Busy:
    """Ask the card's driver several times per second what share of the time it computes, 0..1."""

    device: torch.device
    shares: list[float] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Busy":
        if self.device.type == "cuda":
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _ask(self) -> None:
        with asked_by() as ask:
            while not self._done.wait(0.25):
                try:
                    self.shares.append(ask(self.device) / 100)
                except (RuntimeError, OSError, ValueError, ModuleNotFoundError):
                    return

    @property
    def mean(self) -> float | None:
        """The mean of all answers; None without any."""
        return sum(self.shares) / len(self.shares) if self.shares else None

    @property
    def highest_half(self) -> float | None:
        """The mean of the middle half of the time: start and end of a command, and its report, need no card."""
        some = self.shares[len(self.shares) // 4 : max(1, 3 * len(self.shares) // 4)]
        return sum(some) / len(some) if some else None


@contextmanager
def asked_by() -> Iterator[Any]:
    """A function that asks for the share in per cent: NVIDIA's library, or its command where that is missing."""
    with contextlib.suppress(ImportError, RuntimeError):
        torch.cuda.utilization()
        yield lambda device: torch.cuda.utilization(device)
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    yield lambda device: float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
