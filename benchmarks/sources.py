"""Two map sources alone and together: ``python benchmarks/sources.py --data DIR --config C --json F``.

One source is the classifier of the settings (``--classifier FILE``, or trained here on the tags of the photographs),
the other the made word model (benchmarks/word_model.py). All rows go through the same Steps 1 to 3, survey and boundary
correction. Only the word model and the scores read ground truth.

| row | maps |
| --- | --- |
| `classifier`, `word model` | of one source, as it gives them |
| `word model, normalised` | the same, each map from its minimum to its maximum |
| `mean` | mean of both, each map from its minimum to its maximum |
| `combination` | both, calibrated over the data set |
| `combination, unknown left out` | the same; the word model gives 0 for the classes that it does not know |
| `combination, noise added` | both, and a third source, which is noise |
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine, maps_parser, run_config
from jaxtyping import Float
from quality import BOUNDARIES_SCORED, Cache, progress
from scored import RESAMPLES, cell, columns
from torch import Tensor
from word_model import WordModel

from dhr.data.folder import FolderDataSet
from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.data.transforms import grid_size, working_image
from dhr.evaluate.tally import Tally
from dhr.features.pack import pack
from dhr.files import write_json
from dhr.job.calibration import others_of
from dhr.job.drafts import drafted, padded_ids, surveyed
from dhr.job.kept import Kept, class_ids
from dhr.job.maps import Maps
from dhr.job.models import build_models
from dhr.job.settings import RunConfig
from dhr.job.survey import draw_cells
from dhr.method.boundary import Guide, corrections
from dhr.method.calibrate import Calibrated, SourceCells, Task, calibrate
from dhr.method.config import Kind
from dhr.method.order import take_classes
from dhr.method.rebalance import finish
from dhr.method.survey import survey_features
from dhr.method.survey_fit import fit_survey
from dhr.method.swaps import exchange
from dhr.ops.upsample import resize, upsampled_labels
from dhr.progress import Step

CLASSIFIER, WORDS, NOISE = range(3)


@dataclass(frozen=True)
class Seen:
    """A photograph as all sources see it, on the grid of the USS features."""

    sample: Sample
    maps: Maps
    """The classifier's, with both kinds of features."""
    sources: Float[Tensor, "s k u v"]
    others: tuple[int, ...]
    """Classes that are not tags."""
    other_peaks: Float[Tensor, "s j"]
    truth: np.ndarray


class Photographs:
    """All photographs, one at a time; their maps lie in the cache."""

    def __init__(self, cache: Cache, data: DataSet, config: RunConfig, words: WordModel) -> None:
        self.cache, self.data, self.config, self.words = cache, data, config, words

    def fill(self) -> None:
        """Compute what the cache lacks: the classifier's maps of tags, and their peaks for other classes."""
        self.cache.fill()
        models = build_models(self.data, self.config, self.cache.folder, torch.device("cpu"))
        show = progress("other classes")
        for done, sample in enumerate(self.cache.samples, start=1):
            path = self._path(sample)
            if not path.is_file():
                image = working_image(self.data.read_image(sample), self.config.image.long_side)[None]
                asked = replace(sample, tags=others_of(sample, self.data.classes))
                grid = grid_size(image.shape[-2], image.shape[-1], self.config.image.grid_stride)
                with torch.no_grad():
                    cams = models.source.see(image, [asked], grid).cams
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, cams[0].amax(dim=(1, 2)).numpy())
            show(Step("other classes", done, len(self.cache.samples)))

    def __iter__(self) -> Iterator[Seen]:
        for sample in self.cache.samples:
            maps = self.cache.read(sample)
            assert maps is not None
            grid, truth = (maps.uss.shape[-2], maps.uss.shape[-1]), self.data.read_ground_truth(sample)
            others = others_of(sample, self.data.classes)
            noise = WordModel(self.data.classes, seed=99, share=1.0)
            made = [one.maps(sample.name, truth, (*sample.tags, *others), grid) for one in (self.words, noise)]
            tags = len(sample.tags)
            sources = torch.stack([resize(maps.cams, grid)[0], *(one[:tags] for one in made)])
            peaks = [torch.from_numpy(np.load(self._path(sample))), *(one[tags:].amax(dim=(1, 2)) for one in made)]
            yield Seen(sample, maps, sources, others, torch.stack(peaks), truth)

    def _path(self, sample: Sample) -> Path:
        return self.cache.folder.root / "others" / f"{sample.name}.npy"


def cells_of(seen: Seen, chosen: Sequence[int], blind: Sequence[int] = ()) -> SourceCells:
    """All cells of a photograph by the ``chosen`` sources; the word model gives 0 for the classes ``blind``."""
    maps, peaks = seen.sources.clone(), seen.other_peaks.clone()
    for at, tag in enumerate(seen.sample.tags):
        maps[WORDS, at] *= tag not in blind
    for at, tag in enumerate(seen.others):
        peaks[WORDS, at] *= tag not in blind
    picked = maps[list(chosen)]
    return SourceCells(
        features=survey_features(seen.maps.uss)[0],
        maps=picked.flatten(2),
        ids=torch.tensor(seen.sample.tags),
        peaks=picked.amax(dim=(2, 3)),
        others=torch.tensor(seen.others, dtype=torch.int64),
        other_peaks=peaks[list(chosen)],
    )


def stretched(maps: Float[Tensor, "*b u v"]) -> Float[Tensor, "*b u v"]:
    """Maps from their minimum to their maximum."""
    low = maps.amin(dim=(-2, -1), keepdim=True)
    return (maps - low) / (maps.amax(dim=(-2, -1), keepdim=True) - low).clamp_min(1e-12)


Cells = Callable[[Seen], SourceCells]
"""Makes the cells of some sources."""


@dataclass(frozen=True)
class Row:
    """A way to make maps of the tags of a photograph."""

    make: Callable[[Seen], Float[Tensor, "_ u v"]]
    features: bool = True
    """Whether WSS features are the classifier's; else USS features are both."""
    joined: bool = False
    """Whether the maps are those of a calibration: probabilities, with the background first."""


def joined(cells: Cells, found: Calibrated, background: bool) -> Row:
    """Join the sources of the cells by a calibration."""

    def make(seen: Seen) -> Tensor:
        one = cells(seen)
        valid = torch.ones(1, len(one.ids), dtype=torch.bool)
        maps = found.calibration(one.maps[None], one.ids[None], valid, background)[0]
        return maps.view(len(maps), *seen.sources.shape[-2:])

    return Row(make, joined=True)


@torch.no_grad()
def score(photographs: Photographs, row: Row, kind: Kind) -> dict[str, Any]:
    """Score a row: Steps 1 to 3, survey and the boundary correction ``kind``."""
    config, classes = photographs.config, photographs.data.classes
    boundary, tally = replace(config.boundary, kind=kind), Tally(classes, RESAMPLES)
    drafts, cells = [], []
    for seen in photographs:
        cams = row.make(seen)[None]
        cams = cams[:, int(row.joined and classes.background) :]
        maps = replace(seen.maps, cams=cams, wss=seen.maps.wss if row.features else seen.maps.uss)
        drafts.append(drafted(maps, [seen.sample], classes, config))
        cells.append(draw_cells(Kept((seen.sample,), drafts[-1], (pack(maps.uss),)), classes, 1 << 30))
    survey = fit_survey(cells, len(classes.names), config.method)
    for seen, draft in zip(photographs, drafts, strict=True):
        places = exchange(*padded_ids([seen.sample], classes, torch.device("cpu")), survey.swaps)
        made = draft.exchanged(places)
        probabilities = take_classes(row.make(seen)[None], places) if row.joined else None
        said = surveyed(survey, seen.maps.uss, probabilities, classes, [seen.sample], seen.maps.images)
        _, last = corrections(boundary, Guide(seen.maps.uss, seen.maps.edges), seen.maps.images, made.size)
        scores = finish(made, last, survey.weighed(config.method), said).scores[0]
        ids = torch.tensor(class_ids(classes, seen.sample), dtype=torch.uint8)
        mask = upsampled_labels(scores, ids, (seen.truth.shape[0], seen.truth.shape[1])).numpy()
        tally.add(seen.sample, mask, seen.truth)
    return columns(tally.scores())


def calibrations(photographs: Photographs, names: Sequence[str]) -> dict[str, tuple[Cells, Calibrated]]:
    """Learn the calibration of each combination, by name; only those of ``names``, if there are any."""
    both, blind = (CLASSIFIER, WORDS), photographs.words.unknown
    wanted: dict[str, Cells] = {
        "combination": partial(cells_of, chosen=both),
        "combination, unknown left out": partial(cells_of, chosen=both, blind=blind),
        "combination, noise added": partial(cells_of, chosen=(*both, NOISE)),
    }
    classes, found = photographs.data.classes, dict[str, tuple[Cells, Calibrated]]()
    for name in [name for name in wanted if not names or name in names]:
        cells = wanted[name]
        task = Task(
            [cells(one) for one in photographs], len(classes.names), classes.background, torch.device("cpu"),
            progress(name),
        )  # fmt: skip
        found[name] = (cells, calibrate(task))
    return found


def known_of(found: Calibrated, classes: ClassTable) -> list[dict[str, Any]]:
    """What the calibration of classifier and word model found out on each class."""
    return [
        {
            "class": classes.names[tag],
            "photographs": int(found.photographs[tag]),
            **{
                name: [round(float(one), 3) for one in values[:, tag]]
                for name, values in (
                    ("weights", found.calibration.weights), ("follows", found.follows.value),
                    ("follows_errors", found.follows.errors), ("agrees", found.agrees.value),
                    ("agrees_errors", found.agrees.errors),
                )
            },
        }
        for tag in classes.foreground
    ]  # fmt: skip


def main() -> None:
    """Look, calibrate, score, print, write."""
    parser = maps_parser(__doc__)
    parser.add_argument("--classifier", type=Path, help="a classifier.safetensors; without it one is trained")
    parser.add_argument("--boundary", default="crf", choices=BOUNDARIES_SCORED)
    parser.add_argument("--rows", nargs="*", default=(), help="rows to score; all without it")
    parser.add_argument("--seed", type=int, default=0, help="of the word model")
    options = parser.parse_args()

    call = ["run", "--data", str(options.data), "--out", str(options.cache), "--config", str(options.config)]
    config = run_config(call + (["--classifier.file", str(options.classifier)] if options.classifier else []))
    data: DataSet = FolderDataSet(options.data, options.split)
    words = WordModel(data.classes, options.seed)
    photographs = Photographs(Cache(options.cache, data, config), data, config, words)
    photographs.fill()
    found = calibrations(photographs, options.rows)
    rows = {
        "classifier": Row(lambda seen: seen.sources[CLASSIFIER]),
        "word model": Row(lambda seen: seen.sources[WORDS], features=False),
        "word model, normalised": Row(lambda seen: stretched(seen.sources[WORDS]), features=False),
        "mean": Row(lambda seen: stretched(seen.sources[: WORDS + 1]).mean(dim=0)),
    }
    rows |= {name: joined(cells, one, data.classes.background) for name, (cells, one) in found.items()}
    listed = []
    for name in [name for name in rows if not options.rows or name in options.rows]:
        row = rows[name]
        listed.append({"sources": name, **score(photographs, row, options.boundary)})
        print(f"{name}: mIoU {cell(listed[-1], 'miou')}, minor IoU {cell(listed[-1], 'minor_iou')}", flush=True)
    result = {
        "commit": commit(), "machine": machine(torch.device("cpu")), "photographs": len(photographs.cache.samples),
        "boundary": options.boundary, "seed": options.seed, "rows": listed,
        "unknown": [data.classes.names[tag] for tag in words.unknown],
        "classes": known_of(found["combination"][1], data.classes) if "combination" in found else [],
    }  # fmt: skip
    write_json(options.json, result)


if __name__ == "__main__":
    main()
