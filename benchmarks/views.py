"""What views of the networks bring, and cost: ``python benchmarks/views.py --data DIR --config C --classifier FILE
--json F --rows R...``.

A view is a scale, with ``w`` in windows of ``--window`` pixels, with ``m`` mirrored: ``1.0 1.0m 2.0w``. A row names the
views of the USS network and, after a slash, those of the map source: ``1.0,2.0w/1.0,1.5``. Maps of views are averaged,
so each view is computed once per photograph and kept in ``--cache``, in half precision. Every row then has the masks of
``default`` with the CRF, and their scores. ``network_s`` are CPU seconds of the networks per photograph, in one thread.

``--classes super`` scores super-classes; ``--every N`` takes every Nth photograph.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from common import commit, machine, run_config
from quality import Cache, methods, progress, score
from safetensors import safe_open
from safetensors.torch import save
from scored import cell, columns
from supers import SuperClasses
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.folder import FolderDataSet
from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.data.transforms import grid_size, working_image
from dhr.files import write_bytes, write_json
from dhr.job.maps import Maps
from dhr.job.models import Models, build_models
from dhr.job.scan import scan
from dhr.job.settings import RunConfig
from dhr.models.precision import autocast, resolved
from dhr.models.views import average_views
from dhr.models.windows import Windows
from dhr.progress import Step, silent
from dhr.sources.network import NetworkSource
from dhr.sources.protocol import joined

CPU = torch.device("cpu")
Network = Callable[[Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class View:
    """One view of a photograph."""

    scale: float
    windows: bool
    mirrored: bool

    @staticmethod
    def parse(text: str) -> "View":
        """Read ``2.0w``, ``1.5m`` or ``2.0wm``."""
        number = text.rstrip("wm")
        return View(float(number), "w" in text, "m" in text)

    def __str__(self) -> str:
        return f"{self.scale}{'w' if self.windows else ''}{'m' if self.mirrored else ''}"


@dataclass(frozen=True)
class Row:
    """The views of both networks."""

    uss: tuple[View, ...]
    wss: tuple[View, ...]

    @staticmethod
    def parse(text: str) -> "Row":
        """Read ``1.0,2.0w/1.0,1.5``."""
        uss, wss = (tuple(View.parse(one) for one in part.split(",")) for part in text.split("/"))
        return Row(uss, wss)

    def __str__(self) -> str:
        return "/".join(",".join(map(str, part)) for part in (self.uss, self.wss))


class Pictures:
    """Some photographs of a data set."""

    def __init__(self, data: DataSet, samples: Sequence[Sample]) -> None:
        self._data = data
        self.classes: ClassTable = data.classes
        self.samples = tuple(samples)
        self.problems, self.notes = data.problems, data.notes
        self.digest, self.read_image, self.read_ground_truth = data.digest, data.read_image, data.read_ground_truth


class Views(Cache):
    """Maps of single views on disk, and their averages as the maps of a photograph."""

    def __init__(self, root: Path, data: DataSet, config: RunConfig, windows: tuple[int, float]) -> None:
        views = replace(config, uss=replace(config.uss, window=0), wss=replace(config.wss, scales=(1.0,)))
        super().__init__(root, data, views)
        self.windows = windows
        self.row = Row((), ())

    @cached_property
    def models(self) -> Models:
        """Both networks."""
        return build_models(self._data, self._config, self.folder, CPU)

    def scanned(self) -> None:
        """List the photographs."""
        self.folder.root.mkdir(parents=True, exist_ok=True)
        found = scan(self._data, self.folder, silent)
        self.samples = [sample for sample in found.samples if sample.has_ground_truth and sample.tags]

    def begin(self, row: Row) -> None:
        """Compute the missing views of a row, and turn to it."""
        for kind, views in (("uss", row.uss), ("wss", row.wss)):
            for view in views:
                missing = [sample for sample in self.samples if not self._file(sample, kind, view).is_file()]
                show = progress(f"{kind} {view}")
                for done, sample in enumerate(missing, start=1):
                    self._compute(sample, kind, view)
                    show(Step("view", done, len(missing)))
        self.row = row
        self._cells, self._surveys = [], {}

    def seconds(self, row: Row) -> tuple[float, float]:
        """CPU seconds per photograph of the USS network and of the map source."""
        uss, wss = (
            sum(self._seconds(sample, kind, view) for sample in self.samples for view in views) / len(self.samples)
            for kind, views in (("uss", row.uss), ("wss", row.wss))
        )
        return uss, wss

    def read(self, sample: Sample) -> Maps:
        """Average the views of the present row."""
        image = self._image(sample)
        grid = grid_size(image.shape[-2], image.shape[-1], self._config.image.grid_stride)
        uss = _mean([resized(self._tensors(sample, "uss", view)["features"], grid) for view in self.row.uss])
        views = [self._tensors(sample, "wss", view) for view in self.row.wss]
        positive, signed, features = (
            _mean([resized(one, grid) for one in some])
            for some in (
                [one["cams"].float().relu() for one in views],
                [one["cams"] for one in views],
                [one["features"] for one in views],
            )
        )
        return Maps(image, joined(positive, signed), uss.half().float(), features)

    def _image(self, sample: Sample) -> Tensor:
        return working_image(self._data.read_image(sample), self._config.image.long_side).unsqueeze(0)

    def _compute(self, sample: Sample, kind: str, view: View) -> None:
        image, precision = self._image(sample), resolved(self._config.precision, CPU)
        network = self._uss() if kind == "uss" else self._wss(sample)
        windows = Windows(*self.windows, self.models.uss.uss.cell) if view.windows else None

        def run(images: Tensor) -> tuple[Tensor, ...]:
            with torch.no_grad(), autocast(precision, CPU):
                maps = network(images.flip(-1) if view.mirrored else images)
            return tuple(one.float().flip(-1) for one in maps) if view.mirrored else maps

        start = time.process_time()
        maps = average_views(run, image, [], (view.scale,), flip=False, windows=windows)
        seconds = time.process_time() - start
        names = ("features", "cams")
        kept = {name: one.half().contiguous() for name, one in zip(names, maps, strict=False)}
        write_bytes(self._file(sample, kind, view), save(kept, {"seconds": str(seconds)}), durable=False)

    def _uss(self) -> Network:
        return lambda images: (self.models.uss.uss(images),)

    def _wss(self, sample: Sample) -> Network:
        source = self.models.source
        assert isinstance(source, NetworkSource), "wss.kind must be a network"
        tags = [tag - self._data.classes.foreground.start for tag in sample.tags]

        def run(images: Tensor) -> tuple[Tensor, ...]:
            maps = source.network.maps(images.contiguous(memory_format=torch.channels_last), tags)
            return maps.features, maps.cams

        return run

    def _file(self, sample: Sample, kind: str, view: View) -> Path:
        side, overlap = self.windows
        folder = f"{kind}-{view}" + (f"-{side}-{overlap}" if view.windows else "")
        name = hashlib.sha256(sample.name.encode()).hexdigest()[:16]
        return self.folder.root / "views" / folder / f"{name}.safetensors"

    def _tensors(self, sample: Sample, kind: str, view: View) -> dict[str, Tensor]:
        with safe_open(self._file(sample, kind, view), "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def _seconds(self, sample: Sample, kind: str, view: View) -> float:
        with safe_open(self._file(sample, kind, view), "pt") as file:
            return float(file.metadata()["seconds"])


def resized(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps on another grid."""
    return interpolate(maps.float(), grid, mode="bilinear", align_corners=False)


def _mean(maps: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(maps)).mean(dim=0)


def main() -> None:
    """Compute views, score rows, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of a run")
    parser.add_argument("--classifier", type=Path, required=True, help="classifier.safetensors of a run")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", type=Row.parse, required=True, help="USS views / views of the map source")
    parser.add_argument("--classes", choices=("fine", "super"), default="fine")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--window", type=int, default=224)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cache", type=Path, default=Path("views-cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)

    call = ["run", "--data", str(options.data), "--out", str(options.cache), "--config", str(options.config)]
    call += ["--classifier.file", str(options.classifier), "--precision", options.precision]
    config = run_config(call)
    data: DataSet = FolderDataSet(options.data, options.split)
    if options.classes == "super":
        data = SuperClasses(data)
    data = Pictures(data, data.samples[:: options.every])
    views = Views(options.cache, data, config, (options.window, options.overlap))
    views.scanned()
    method = {"default": methods(config, data.classes.background)["default"]}
    result: dict[str, Any] = {
        "commit": commit(), "machine": machine(CPU), "photographs": len(views.samples),
        "precision": resolved(config.precision, CPU), "window": options.window, "overlap": options.overlap, "rows": [],
    }  # fmt: skip
    print("| USS / map source | USS, s | source, s | mIoU | minor IoU |\n| --- | --- | --- | --- | --- |")
    for row in options.rows:
        views.begin(row)
        uss, wss = views.seconds(row)
        views.look()
        found, _ = score(views, data, method, ["crf"], config, str(row))
        scores = columns(found["default", "crf"].tally.scores())
        result["rows"].append({"row": str(row), "uss_s": uss, "wss_s": wss, "network_s": uss + wss, **scores})
        print(f"| {row} | {uss:.3f} | {wss:.3f} | {cell(scores, 'miou')} | {cell(scores, 'minor_iou')} |", flush=True)
        write_json(options.json, result)
    print(json.dumps(result["machine"]))


if __name__ == "__main__":
    main()
