"""What mended masks teach the others: ``python benchmarks/review.py --data DIR --split S --config C --json F``.

``dhr run`` makes masks. Ground truth then plays the person: it mends some of them (the machine's label stays where
ground truth is void), and ``dhr update`` makes the others again. Scores are those of the masks that nobody touched,
before and after, on the same photographs.

Orders in which masks are mended: ``queue`` (that of ``dhr review``), ``random`` (one for each of ``--seeds``), and
``margin``, which other programs use: the smallest mean difference of the two best scores first. In each order the
masks are mended in steps (``--mended``), with an update after each.

``wrong_in_first_third`` is the share of all wrong pixels in the first third of the queue. The times are those of the
first run, and the median of the updates.
"""

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine, run_config

import dhr
from dhr.cli.progress import Bars
from dhr.cli.terminal import Terminal
from dhr.corrections import Correction, Corrections
from dhr.data.folder import FolderDataSet
from dhr.data.images import read_mask
from dhr.data.palette import class_palette
from dhr.data.samples import VOID, DataSet
from dhr.data.transforms import working_image
from dhr.evaluate.counts import Counts, count
from dhr.evaluate.scores import Scores
from dhr.evaluate.tally import Tally
from dhr.files import digest_regular, write_json
from dhr.job.drafts import surveyed
from dhr.job.folder import OutputFolder
from dhr.job.kept import Keeper
from dhr.job.settings import RunConfig
from dhr.job.survey_file import read_survey
from dhr.method.boundary import Guide, corrections
from dhr.method.rebalance import finish
from dhr.records.item import read_item
from dhr.review.order import Doubt, Doubts, queue_order
from dhr.tensors import read_tensors

Counted = Mapping[str, Counts]
"""Masks against ground truth, by name of the photograph."""


@dataclass(frozen=True)
class Person:
    """Mends masks of a run by ground truth."""

    data: DataSet

    def mend(self, run: Path, names: Sequence[str]) -> None:
        """Save a correction for each photograph."""
        store, classes = Corrections.of(run), self.data.classes
        for sample in self.data.samples:
            if sample.name not in names:
                continue
            made = read_mask(OutputFolder(run).mask(sample.name))
            truth = self.data.read_ground_truth(sample)
            mask = np.where(truth == VOID, made, truth)
            ids = sorted({*sample.tags, *({*np.unique(mask).tolist()} & {*classes.foreground})})
            tags = tuple(classes.names[one] for one in ids)
            labels = {name: index for index, name in enumerate(classes.names)}
            correction = Correction(
                state="accepted" if np.array_equal(mask, made) else "mended",
                digest=self.data.digest(sample),
                given=tuple(classes.names[tag] for tag in sample.tags),
                tags=tags,
                labels=labels,
            )
            store.save(sample.name, correction, mask, class_palette(classes), expected=0)


def counted(run: Path, data: DataSet) -> Counted:
    """Compare all masks of a run with ground truth."""
    folder, many = OutputFolder(run), len(data.classes.names)
    return {
        sample.name: count(read_mask(folder.mask(sample.name)), data.read_ground_truth(sample), many)
        for sample in data.samples
    }


def scored(data: DataSet, counts: Counted, names: Sequence[str]) -> Scores:
    """Score some of the photographs."""
    tally, wanted = Tally(data.classes), {*names}
    for sample in data.samples:
        if sample.name in wanted:
            tally.add_counts(sample, counts[sample.name])
    return tally.scores()


def queued(run: Path, data: DataSet) -> list[str]:
    """Return the photographs in the order of `dhr review`."""
    folder, rows = OutputFolder(run), []
    for sample in data.samples:
        item = read_item(folder.item(sample.name))
        assert item is not None, f"{sample.name} has no record"
        rows.append(Doubt.of(sample.name, item))
    return [rows[place].name for place in queue_order(Doubts.of(rows)).tolist()]


def by_margin(run: Path, data: DataSet, config: RunConfig) -> list[str]:
    """Return the photographs by the mean margin of their final scores, the smallest first."""
    folder, classes, cpu = OutputFolder(run), data.classes, torch.device("cpu")
    channels = read_tensors(folder.survey)[0]["weights"].shape[1]
    survey, keeper = read_survey(folder.survey, len(classes.names), channels), Keeper(folder, classes, channels)
    margins = {}
    for sample in data.samples:
        kept = keeper.read(sample, data.digest(sample))
        assert kept is not None, f"{sample.name} has no draft; its space is work_space"
        uss = kept.uss[0].unpacked(cpu)
        image = working_image(data.read_image(sample), config.image.long_side)[None]
        said = surveyed(survey, uss, kept.probabilities, classes, kept.samples, image)
        _, correct = corrections(replace(config.boundary, kind="none"), Guide(uss, None), None, kept.draft.size)
        result = finish(kept.draft, correct, survey.weighed(config.method), said)
        margins[sample.name] = float(result.confidence.mean())
    return sorted(margins, key=lambda name: (margins[name], name))


def orders(run: Path, data: DataSet, config: RunConfig, seeds: int) -> Iterator[tuple[str, int | None, list[str]]]:
    """Yield each order with its seed."""
    names = [sample.name for sample in data.samples]
    yield "queue", None, queued(run, data)
    yield "margin", None, by_margin(run, data, config)
    for seed in range(seeds):
        yield "random", seed, [names[place] for place in np.random.default_rng(seed).permutation(len(names))]


def main() -> None:
    """Run, mend, update, score, print, write."""
    given = _options()
    data = FolderDataSet(given.data, given.split)
    call = ["run", "--data", str(given.data), "--out", str(given.work), "--config", str(given.config)]
    config = run_config([*call, *(["--classifier.file", str(given.classifier)] if given.classifier else [])])
    first, source = given.work / "first", dhr.DataFolder(given.data, given.split)
    start = time.perf_counter()
    with show() as bars:
        made = dhr.run(source, first, config=config, progress=bars)
    seconds = time.perf_counter() - start
    before = counted(first, data)
    listed = [*orders(first, data, config, given.seeds)]
    rows, updates = [], []
    for order, seed, names in listed:
        work = given.work / "mended"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(first, work)
        for place, mended in enumerate(given.mended):
            Person(data).mend(work, names[given.mended[place - 1] if place else 0 : mended])
            start = time.perf_counter()
            with show() as bars:
                dhr.update(work, data=source, progress=bars)
            updates.append(time.perf_counter() - start)
            rows.append({"mended": mended, "order": order, "seed": seed, **gains(data, work, before, names[mended:])})
            print(line(rows[-1]), flush=True)
    queue = listed[0][2]
    result = {
        "commit": commit(), "machine": machine(torch.device("cpu")), "photographs": len(data.samples),
        "classifier": None if given.classifier is None else digest_regular(given.classifier),
        "miou": 100 * scored(data, before, queue).miou, "minor_iou": 100 * scored(data, before, queue).minor_iou,
        "rows": rows, "wrong_in_first_third": 100 * wrong_in_first_third(before, queue),
        "first_run_s": seconds, "update_s": statistics.median(updates), "stages": list(made.stages),
    }  # fmt: skip
    print(f"{result['wrong_in_first_third']:.1f} % of all wrong pixels are in the first third of the queue")
    print(f"first run {seconds:.0f} s, update {result['update_s']:.0f} s")
    write_json(given.json, result)


def gains(data: DataSet, run: Path, before: Counted, untouched: Sequence[str]) -> dict[str, float]:
    """Score the untouched masks before and after, in percent."""
    old, new = (scored(data, counts, untouched) for counts in (before, counted(run, data)))
    return {
        "miou_untouched_before": 100 * old.miou,
        "miou_untouched": 100 * new.miou,
        "miou_gain": 100 * (new.miou - old.miou),
        "minor_iou_untouched_before": 100 * old.minor_iou,
        "minor_iou_untouched": 100 * new.minor_iou,
        "minor_iou_gain": 100 * (new.minor_iou - old.minor_iou),
    }


def wrong_in_first_third(counts: Counted, queue: Sequence[str]) -> float:
    """Return the share of all wrong pixels that are in the first third of the queue; void does not count."""
    wrong = [int(counts[name].matrix.sum() - np.diagonal(counts[name].matrix).sum()) for name in queue]
    return sum(wrong[: len(wrong) // 3]) / max(sum(wrong), 1)


def line(row: Mapping[str, Any]) -> str:
    """Return a row as text."""
    order = row["order"] if row["seed"] is None else f"{row['order']} {row['seed']}"
    return (
        f"{row['mended']:4} mended, {order:9} mIoU {row['miou_untouched']:.2f} ({row['miou_gain']:+.2f}), "
        f"minor IoU {row['minor_iou_untouched']:.2f} ({row['minor_iou_gain']:+.2f})"
    )


def show() -> Bars:
    """Return progress on standard error."""
    return Bars(Terminal(file=sys.stderr))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of a run")
    parser.add_argument("--classifier", type=Path, help="trained classifier; without it, the first run trains one")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--mended", type=int, nargs="+", default=[10, 20, 40], help="numbers of mended masks")
    parser.add_argument("--seeds", type=int, default=3, help="random orders")
    parser.add_argument("--work", type=Path, default=Path("review-work"), help="folder of the runs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
