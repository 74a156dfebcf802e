"""What methods make of the same CAMs and features: ``python benchmarks/quality.py --data DIR --config C --json F``.

A classifier is trained on the tags of the photographs (of ``--split``, or all), and what both networks see in them is
computed once and kept in ``--cache``, under a key of all that it depends on. Every method is then scored on that
against the truth, which nothing else reads: CAMs, their random walk, heatmaps of USS centroids alone, every preset, and
``default`` with one setting changed at a time; each without and with a last boundary correction. ``ms`` is the median
time of a photograph, method and correction together, the networks not counted.

Two rows are ceilings. ``ground truth`` is the ground truth itself, averaged over the cells of the grid. ``default,
survey of ground truth`` has discriminants that were fitted to it, with the weight ``method.survey``.

``--classes super`` scores super-classes; ``--methods`` takes some rows only. Beside the JSON file lie three plots.
Scores have 95 % intervals over the photographs. Of the rows with the same boundary, ceilings left out, the highest
score is bold if the 95 % intervals of its lead over all others are above 0.
"""

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from common import commit, machine, maps_parser, run_config
from scipy.stats import spearmanr
from scored import RESAMPLES, cell, columns
from supers import SuperClasses
from torch import Tensor

from dhr.data.folder import FolderDataSet
from dhr.data.samples import DataSet, Sample
from dhr.errors import ItemError
from dhr.evaluate.compare import difference
from dhr.evaluate.measures import Measures
from dhr.evaluate.scores import Scores
from dhr.evaluate.tally import Tally
from dhr.features.pack import pack
from dhr.files import write_bytes, write_json
from dhr.job.drafts import drafted, surveyed
from dhr.job.folder import OutputFolder
from dhr.job.kept import Kept
from dhr.job.maps import Maps, see
from dhr.job.masks import judged
from dhr.job.models import build_models
from dhr.job.scan import scan
from dhr.job.settings import RunConfig
from dhr.job.survey import draw_cells, plan
from dhr.method.base import add_background, normalise_cams, scored_labels, shares
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.cells import SurveyCells, surest
from dhr.method.config import PRESETS, MethodConfig
from dhr.method.guard import in_pixels, restored
from dhr.method.heatmaps import Features, centroid_heatmaps
from dhr.method.order import take_classes
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch, make_scene, nearest
from dhr.method.survey import Survey, settled, survey_features
from dhr.method.survey_fit import SHRINKAGE, fit_survey
from dhr.method.swaps import exchange
from dhr.ops.discriminant import Moments, discriminant
from dhr.ops.upsample import area_average, resize, upsampled_labels
from dhr.progress import Progress, Step, silent

BOUNDARIES_SCORED = ("none", "pamr", "crf")
TRUTH, TAUGHT = "ground truth", "default, survey of ground truth"
CEILINGS = (TRUTH, TAUGHT)
LED = ("miou", "minor_iou", "boundary_f")
"""Scores whose intervals are in the table; all are in the JSON file."""

DEFAULT = PRESETS["default"]
ABLATIONS: dict[str, dict[str, Any]] = {
    "default, marginal uniform": {"marginal": "uniform"},
    "default, survey 0": {"survey": 0.0},
    "default, survey 1": {"survey": 1.0},
    "default, survey once": {"survey_rounds": 1},
    "default, centring 0": {"centring": 0.0},
    "default, rounds 1": {"rounds": 1},
    "default, combine product": {"combine": "product"},
    "default, USS only": {"uss_weight": 1.0},
    "default, WSS only": {"uss_weight": 0.0},
    "default, smallest_ratio 0": {"smallest_ratio": 0.0},
    "default, guard 0": {"guard": 0.0},
}
BACKGROUNDS: dict[str, dict[str, Any]] = {
    "default, background 0.3": {"background_level": 0.3},
}
CURVES: dict[str, tuple[Any, ...]] = {
    "eps": (0.05, 0.1, 0.2, 0.4),
    "tau": (0.6, 0.7, 0.8, 0.9),
    "rounds": (1, 2, 4, 8),
    "survey": (0.3, 0.6, 0.8, 1.0),
    "survey_rounds": (1, 3, 10, 20),
}
"""Settings of `default`, and values that they are given in turn; tau with `combine product`, which depends on it."""


@dataclass(frozen=True)
class View:
    """A photograph as the networks see it, and what its mask is compared with."""

    sample: Sample
    maps: Maps
    truth: np.ndarray
    background: bool
    survey: Callable[[MethodConfig], tuple[MethodConfig, Tensor | None, Tensor, Survey | None]]
    """The settings with the weight that the survey deserves; what it says, or None if they ask for none; the CAMs with
    those of exchanged classes put right; and the survey."""
    taught: Callable[[], Survey]
    """A survey that was fitted to ground truth."""

    @property
    def ids(self) -> Tensor:
        """Class ids in the order of the method's classes."""
        return torch.tensor([*range(int(self.background)), *self.sample.tags], dtype=torch.uint8)


@dataclass(frozen=True)
class Found:
    """What a method makes of a photograph."""

    scores: Tensor
    """On the grid, (1, k, u, v)."""
    quality: Tensor | None = None
    """(1,), if the method has one."""
    guard: float = 0.0
    """Share of the photograph that the last correction leaves each class."""


Method = Callable[[View], Found]


def methods(config: RunConfig, background: bool) -> dict[str, Method]:
    """Every row's method, by name."""
    found: dict[str, Method] = {
        "cam": lambda view: Found(activation(view)[0]),
        "random_walk": lambda view: Found(random_walk(view, config)),
        "uss": lambda view: Found(uss_alone(view, config)),
    }
    found |= {name: rebalanced(preset, config) for name, preset in PRESETS.items()}
    found |= {TRUTH: lambda view: Found(truth_cells(view)), TAUGHT: taught(config, background)}
    changed = {**ABLATIONS, **(BACKGROUNDS if background else {})}
    return found | {name: rebalanced(replace(DEFAULT, **change), config) for name, change in changed.items()}


def activation(view: View) -> tuple[Tensor, Tensor]:
    """Normalised CAMs with the background, and which classes are real."""
    valid = torch.ones(1, view.maps.cams.shape[1], dtype=torch.bool)
    grid = (view.maps.uss.shape[-2], view.maps.uss.shape[-1])
    maps = normalise_cams(resize(view.maps.cams, grid), valid)
    return add_background(maps, valid, DEFAULT.background_level) if view.background else (maps, valid)


def corrected(view: View, scores: Tensor, kind: str, config: RunConfig) -> Tensor:
    """Scores of the photograph's size after the correction, summing to one, as ``rebalance`` makes them."""
    image = view.maps.images
    fine = resize(scores, (image.shape[-2], image.shape[-1]))
    fine = BOUNDARIES[kind](config.boundary, Guide(view.maps.uss, view.maps.edges))(image, fine)
    return shares(fine)


def random_walk(view: View, config: RunConfig) -> Tensor:
    """The CAMs after a random walk."""
    return corrected(view, activation(view)[0], "random_walk", config)


def uss_alone(view: View, config: RunConfig) -> Tensor:
    """Cosines with the USS centroids of the base mask, without any transport (Eq. 3 without f_OT)."""
    maps, valid = activation(view)
    base = scored_labels(corrected(view, maps, config.boundary.base, config), valid)
    scene, _ = make_scene(Batch(maps, view.maps.uss, view.maps.wss), DEFAULT)
    return centroid_heatmaps(Features.of(view.maps.uss), scene.cells(base)).scores.view_as(maps)


def rebalanced(method: MethodConfig, config: RunConfig) -> Method:
    """Steps 1 to 3; the last correction is made by who scores it."""
    boundary = replace(config.boundary, kind="none")

    def run(view: View) -> Found:
        maps = view.maps
        weighed, said, cams, survey = view.survey(method)
        batch = Batch(
            cams, maps.uss, maps.wss, maps.images, edges=maps.edges, background=view.background, survey=said
        )  # fmt: skip
        result = rebalance(batch, weighed, boundary)
        if said is not None and survey is not None:
            ids = view.ids.long()[None]
            result = judged(result, said, survey, ids, torch.ones_like(ids, dtype=torch.bool))
        return Found(result.joined, result.quality, method.guard)

    return run


def truth_cells(view: View) -> Tensor:
    """Shares of the classes of the ground truth in each cell, (1, k, u, v); 0 where all of a cell is void."""
    image, grid = view.maps.images, (view.maps.uss.shape[-2], view.maps.uss.shape[-1])
    labels = nearest(torch.from_numpy(view.truth)[None].long(), (image.shape[-2], image.shape[-1]))
    one_hot = (labels == view.ids.long().view(-1, 1, 1)).float()
    return shares(area_average(one_hot[None], grid))


def taught(config: RunConfig, background: bool) -> Method:
    """`default` with a survey of ground truth, with the weight ``method.survey``."""
    boundary = replace(config.boundary, kind="none")

    def run(view: View) -> Found:
        maps, ids = view.maps, view.ids.long()[None]
        raw = view.taught().shares(survey_features(maps.uss), ids, torch.ones_like(ids, dtype=torch.bool))
        said = settled(raw.view(1, -1, *maps.uss.shape[-2:]), maps.uss, maps.images)
        batch = Batch(maps.cams, maps.uss, maps.wss, maps.images, edges=maps.edges, background=background, survey=said)
        return Found(rebalance(batch, DEFAULT, boundary).joined, guard=DEFAULT.guard)

    return run


class Cache:
    """What the networks see in each photograph, on disk, of exactly these photographs, tags, weights and settings."""

    def __init__(self, root: Path, data: DataSet, config: RunConfig) -> None:
        settings = config.identity(torch.device("cpu"))
        for name in ("method", "boundary", "stages", "doubtful"):
            settings.pop(name)
        photographs = [(sample.name, sample.tags, data.digest(sample)) for sample in data.samples]
        whole = json.dumps([settings, photographs, data.classes.names], sort_keys=True)
        self.folder = OutputFolder(root / hashlib.sha256(whole.encode()).hexdigest()[:16])
        self._data, self._config = data, config
        self.samples: list[Sample] = []
        self._cells: list[SurveyCells] = []
        self._surveys: dict[tuple[float, ...], Survey] = {}
        self._taught: Survey | None = None

    def fill(self) -> tuple[float, float]:
        """Train, and look at every photograph; seconds of both, 0 for what was there."""
        self.folder.root.mkdir(parents=True, exist_ok=True)
        found = scan(self._data, self.folder, silent)
        found.save(self.folder)
        # Without tags all methods say background, so that nothing can be learnt of them.
        self.samples = [sample for sample in found.samples if sample.has_ground_truth and sample.tags]
        missing = [sample for sample in self.samples if self.read(sample) is None]
        if not missing:
            return 0.0, 0.0
        start = time.perf_counter()
        models = build_models(self._data, self._config, self.folder, torch.device("cpu"))
        for fitting in models.source.fittings:
            path = self.folder.fitted(fitting.file)
            if not path.is_file():
                checkpoint = self.folder.checkpoint(fitting.name)
                fitting.fit(self._data, found.samples, checkpoint, progress(fitting.name))
                fitting.save(path)
        trained = time.perf_counter()
        show = progress("maps")
        for done, sample in enumerate(missing, start=1):
            rgb = self._data.read_image(sample)
            maps = see(rgb, sample, models, self._config)
            kept = {name: value.half().numpy() for name, value in vars(maps).items() if value is not None}
            kept["images"] = maps.images.numpy()
            buffer = io.BytesIO()
            np.savez(buffer, **kept)
            write_bytes(self._path(sample), buffer.getvalue())
            show(Step("maps", done, len(missing)))
        return trained - start, time.perf_counter() - trained

    def views(self) -> Iterator[View]:
        """Every photograph with truth, one at a time."""
        for sample in self.samples:
            maps = self.read(sample)
            if maps is None:
                raise ItemError(f"{self._path(sample)} is damaged; start again, and it is made anew")
            said = partial(self._said, maps, sample)
            truth = self._data.read_ground_truth(sample)
            yield View(sample, maps, truth, self._data.classes.background, said, self.taught)

    def look(self) -> float:
        """See what Steps 1 to 3 of `default` make of the maps, on which all surveys are based, and fit its; seconds."""
        start, show = time.perf_counter(), progress("survey")
        config = replace(self._config, method=DEFAULT)
        for done, sample in enumerate(self.samples, start=1):
            if (maps := self.read(sample)) is not None:
                classes = self._data.classes
                kept = Kept((sample,), drafted(maps, [sample], classes, config), (pack(maps.uss),))
                _, most = plan(self.samples, maps.uss.shape[1], classes.background)
                self._cells.append(draw_cells(kept, classes, most))
            show(Step("survey", done, len(self.samples)))
        self.survey(DEFAULT)
        return time.perf_counter() - start

    def survey(self, method: MethodConfig) -> Survey:
        """The survey by these settings, fitted once; :meth:`look` comes first."""
        key = (method.survey, method.survey_rounds)
        if key not in self._surveys:
            self._surveys[key] = fit_survey(
                self._cells, len(self._data.classes.names), method, progress=progress("discriminants")
            )
        return self._surveys[key]

    def taught(self) -> Survey:
        """Discriminants of the ground truth, fitted once."""
        if self._taught is None:
            moments = Moments.nothing(len(self._data.classes.names), 0)
            for view in self.views():
                features, cells = survey_features(view.maps.uss)[0], truth_cells(view).flatten(2)[0]
                if not moments.products.numel():
                    moments = Moments.nothing(len(self._data.classes.names), len(features))
                best, lead = surest(cells)
                moments.add(features, view.ids.long()[best], lead)
            known = discriminant(moments, SHRINKAGE / len(self.samples))
            self._taught = Survey(known, trust=1.0, agreement=torch.ones_like(moments.mass))
        return self._taught

    def _said(
        self, maps: Maps, sample: Sample, method: MethodConfig
    ) -> tuple[MethodConfig, Tensor | None, Tensor, Survey | None]:
        if not method.survey > 0:
            return method, None, maps.cams, None
        survey = self.survey(method)
        classes, tags = self._data.classes, torch.tensor([sample.tags])
        cams = take_classes(maps.cams, exchange(tags, torch.ones_like(tags, dtype=torch.bool), survey.swaps))
        said = surveyed(survey, maps.uss, maps.probabilities, classes, [sample], maps.images)
        return survey.weighed(method), said, cams, survey

    def _path(self, sample: Sample) -> Path:
        return self.folder.root / "maps" / f"{sample.name}.npz"

    def read(self, sample: Sample) -> Maps | None:
        """Return the maps of a photograph; None if they are missing or damaged."""
        try:
            with np.load(self._path(sample), allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(file[name]).float() for name in file.files}
                edges = arrays.pop("edges", None)
                return Maps(arrays["images"], arrays["cams"], arrays["uss"], arrays["wss"], edges)
        except (OSError, ValueError, KeyError):
            return None
        except Exception as error:  # zipfile and zlib have errors of their own, which share no base
            if type(error).__module__ in ("zipfile", "zlib"):
                return None
            raise


def progress(stage: str) -> Progress:
    """Prints how far a stage is, its rate, and the time that is left."""
    start = time.perf_counter()

    def show(step: Step) -> None:
        done, total = step.done, step.total
        passed = time.perf_counter() - start
        left = passed / max(done, 1) * (total - done)
        end = "\n" if done == total else ""
        print(f"\r{stage}: {done} of {total}, {done / max(passed, 1e-9):.2f} per second, {left:.0f} s left ", end=end,
              file=sys.stderr, flush=True)  # fmt: skip

    return show


@dataclass
class Row:
    """Sums of one method with one boundary."""

    tally: Tally
    seconds: list[float]


@torch.no_grad()
def score(
    cache: Cache, data: DataSet, chosen: dict[str, Method], kinds: Sequence[str], config: RunConfig, stage: str
) -> tuple[dict[tuple[str, str], Row], list[float]]:
    """Every method with every boundary, over all photographs; and the quality of each mask of ``default``."""
    rows = {(name, kind): Row(Tally(data.classes, RESAMPLES), []) for name in chosen for kind in kinds}
    qualities, show = [], progress(stage)
    for done, view in enumerate(cache.views(), start=1):
        for name, method in chosen.items():
            start = time.perf_counter()
            found = method(view)
            own = time.perf_counter() - start
            if name == "default" and found.quality is not None:
                qualities.append(float(found.quality))
            for kind in kinds:
                start = time.perf_counter()
                fine = corrected(view, found.scores, kind, config)
                if found.guard > 0:
                    had = in_pixels(found.scores, (fine.shape[-2], fine.shape[-1]))
                    fine = restored(fine, had, found.guard)
                height, width = view.truth.shape
                mask = upsampled_labels(fine[0], view.ids, (height, width)).numpy()
                rows[name, kind].seconds.append(own + time.perf_counter() - start)
                rows[name, kind].tally.add(view.sample, mask, view.truth)
        show(Step(stage, done, len(cache.samples)))
    return rows, qualities


def leaders(
    scores: dict[tuple[str, str], Scores], resampled: dict[tuple[str, str], Measures | None]
) -> set[tuple[str, str, str]]:
    """Method, boundary and score wherever the method surely leads all others; not among the ceilings."""
    found = set()
    for kind in dict.fromkeys(kind for _, kind in scores):
        same = [key for key in scores if key[1] == kind and key[0] not in CEILINGS]
        for name in LED if len(same) > 1 else ():
            first = max(same, key=lambda key: getattr(scores[key], name))
            others = [
                difference((one[0], first[0]), scores[one], scores[first], resampled[one], resampled[first])
                for one in same if one != first
            ]  # fmt: skip
            if all(one.whole[name].interval.low > 0 for one in others):
                found.add((*first, name))
    return found


def table(rows: list[dict[str, Any]], bold: set[tuple[str, str, str]]) -> str:
    """The rows in Markdown."""
    names = [key for key in rows[0] if key not in ("method", "boundary", "intervals")]

    def shown(row: dict[str, Any], name: str) -> str:
        known = row if name in LED else {**row, "intervals": {}}
        return cell(known, name, (row["method"], row["boundary"], name) in bold)

    lines = [f"| method | boundary | {' | '.join(names)} |", "| --- | --- |" + " --- |" * len(names)]
    lines += [
        f"| {row['method']} | {row['boundary']} | " + " | ".join(shown(row, name) for name in names) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def plot(path: Path, rows: list[dict[str, Any]], curves: dict[str, Any], pairs: list[tuple[float, float]]) -> None:
    """Bars of the rows, curves, and quality against mIoU, beside the JSON file."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row["method"] for row in rows))[::-1]
    figure, axes = plt.subplots(1, 2, figsize=(12, 1 + 0.4 * len(names)), sharey=True, layout="constrained")
    for axis, key, title in zip(axes, ("miou", "minor_iou"), ("mIoU, %", "minor-class IoU, %"), strict=True):
        for index, kind in enumerate(BOUNDARIES_SCORED):
            values = {row["method"]: row[key] for row in rows if row["boundary"] == kind}
            places = [at + 0.27 * (1 - index) for at, name in enumerate(names) if name in values]
            axis.barh(places, [values[name] for name in names if name in values], 0.25, label=kind)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel(title)
    axes[0].legend(title="boundary", loc="lower right")
    figure.savefig(path.with_suffix(".rows.png"), dpi=100)

    figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
    axis.scatter([100 * quality for quality, _ in pairs], [100 * miou for _, miou in pairs], 8)
    axis.set(xlabel="quality, %", ylabel="mIoU of the photograph, %")
    figure.savefig(path.with_suffix(".calibration.png"), dpi=100)
    if curves:
        figure, several = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3.5), layout="constrained")
        for axis, (name, points) in zip(several, curves.items(), strict=True):
            for key in ("miou", "minor_iou"):
                axis.plot([point["value"] for point in points], [point[key] for point in points], "o-", label=key)
            axis.set(xlabel=name, xscale="linear" if name == "tau" else "log")
        several[0].legend()
        figure.savefig(path.with_suffix(".curves.png"), dpi=100)
    plt.close("all")


def main() -> None:
    """Train, look, score, print, write."""
    parser = maps_parser(__doc__)
    parser.add_argument("--classes", choices=("fine", "super"), default="fine")
    parser.add_argument("--methods", nargs="*", help="rows to score; all without it")
    parser.add_argument("--boundaries", nargs="*", default=BOUNDARIES_SCORED, choices=BOUNDARIES_SCORED)
    parser.add_argument("--no-curves", action="store_true")
    options = parser.parse_args()

    call = ["run", "--data", str(options.data), "--out", str(options.cache), "--config", str(options.config)]
    config = run_config(call)
    data: DataSet = FolderDataSet(options.data, options.split)
    if options.classes == "super":
        data = SuperClasses(data)
    known = methods(config, data.classes.background)
    chosen = known if not options.methods else {name: known[name] for name in options.methods}

    cache = Cache(options.cache, data, config)
    training, looking = cache.fill()
    surveying = cache.look()
    rows, qualities = score(cache, data, chosen, options.boundaries, config, "methods")
    curves = {}
    for name, values in () if options.no_curves else CURVES.items():
        start = replace(DEFAULT, combine="product") if name == "tau" else DEFAULT
        steps = {str(value): rebalanced(replace(start, **dict[str, Any]({name: value})), config) for value in values}
        found, _ = score(cache, data, steps, ["none"], config, name)
        curves[name] = [{"value": value, **columns(found[str(value), "none"].tally.scores())} for value in values]
    resampled = {key: row.tally.resampled() for key, row in rows.items()}
    scores = {key: row.tally.scores(resampled[key]) for key, row in rows.items()}
    listed = [
        {
            "method": name,
            "boundary": kind,
            **columns(scores[name, kind]),
            "ms": 1000 * float(np.median(row.seconds)),
        }
        for (name, kind), row in rows.items()
    ]
    last = scores.get(("default", "crf"))
    pairs = [
        (quality, one.miou)
        for quality, one in zip(qualities, last.per_image if last else (), strict=False)
        if one.miou == one.miou
    ]
    rank = float(spearmanr(*zip(*pairs, strict=True)).statistic) if len(pairs) > 2 else None
    print(table(listed, leaders(scores, resampled)))
    print(f"\nRank correlation of quality and mIoU of a photograph: {rank if rank is None else round(rank, 3)}")
    result = {
        "commit": commit(), "machine": machine(torch.device("cpu")), "classes": len(data.classes.names),
        "photographs": len(cache.samples), "training_s": training, "maps_s": looking, "survey_s": surveying,
        "method": asdict(DEFAULT),
        "rows": listed, "curves": curves, "rank_correlation": rank,
    }  # fmt: skip
    write_json(options.json, result)
    plot(options.json, listed, curves, pairs)


if __name__ == "__main__":
    main()
