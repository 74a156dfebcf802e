"""Builds ``report.html`` from the output folder of a run."""

import heapq
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dhr.corrections.beside import masks_at
from dhr.data.palette import class_palette
from dhr.data.samples import DataSet, Problem, Sample
from dhr.evaluate.scores import Scores
from dhr.files import write_bytes
from dhr.flow.ahead import ahead
from dhr.records.run import read_run_leniently
from dhr.report.card import Look, card
from dhr.report.page import Overview, page
from dhr.report.parts import by_part
from dhr.report.ranks import Ranks
from dhr.report.records import Item, read_items
from dhr.report.shell import encoded
from dhr.results.opened import rows_of_run
from dhr.results.places import mask_folder

BUDGET = 20_000_000
"""Largest size of a report, bytes."""

_MENDED = 100  # of them
_ROWS = 300  # photographs in a page, however small they are: nobody looks at more


def write_report(out: Path, data: DataSet, scores: Mapping[str, Scores] | None = None, budget: int = BUDGET) -> Path:
    """Write ``out/report.html``: one page that loads nothing from outside, at most ``budget`` bytes.

    It holds the facts of ``run.json`` and the records, and a row of pictures for each photograph of ``data`` that has a
    record, the least certain first, as many as the budget allows; it gives the number of the others. Missing steps,
    CAMs and records are left out. Only names and qualities take memory in proportion to the number of photographs.

    Args:
        out: output folder of a run, finished or not.
        data: the data set of the run, or a split of it.
        scores: scores by step (``cam``, ``base``, ``seed``, ``inter``, ``intra``, ``mask``). With them the page shows
            the ground truth and the scores, worst photograph first. Without them ground truth is not read.
        budget: bytes. The part above the photographs is written whatever its size, a few MB at worst.

    Returns:
        The path of the page.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    scores = scores or {}
    samples = {sample.name: sample for sample in data.samples}
    mious = {stage: {image.name: image.miou for image in result.per_image} for stage, result in scores.items()}
    urgency = partial(_urgency, mious.get("mask", {}))
    masks, rows_of = masks_at(mask_folder(out)), rows_of_run(out)
    census = _Census()
    items = heapq.nsmallest(_ROWS, census.count(read_items(out, masks.records), samples), key=urgency)
    mended = heapq.nsmallest(_MENDED, census.mended, key=lambda item: item.name)  # so that the page shows what changed
    known = {item.name for item in mended}
    items = [*[item for item in items if item.name not in known][: _ROWS - len(mended)], *mended]
    items.sort(key=urgency)
    run, colours = read_run_leniently(out / "run.json"), class_palette(data.classes)
    overview = Overview(
        title=out.resolve().name,
        run=run,
        skipped=(*run.skipped, *masks.problems, *census.problems),
        classes=data.classes,
        colours=colours,
        scores=scores,
        finished=census.finished,
        elsewhere=census.elsewhere,
        tagged=census.tagged,
        present=census.present,
        vanished=census.vanished,
        states=census.states,
        changed=census.changed,
        parts=() if rows_of is None else by_part(rows_of),
    )
    ranks = Ranks(sorted(census.qualities), len(census.qualities))
    look = Look(data, out, colours, {name: index for index, name in enumerate(data.classes.names)}, mious, masks, ranks)
    return put_page(overview, items, samples, look, budget)


def put_page(view: Overview, items: Sequence[Item], samples: Mapping[str, Sample], look: Look, budget: int) -> Path:
    """Write the page with as many photographs as the budget allows; return its path."""
    # Bytes without a row, with the longest sentence about how many are shown.
    bare = max(len(encoded(page(view, [], shown))) for shown in (view.finished, view.finished - 1))
    rows = _rows(items, samples, look, budget - bare)
    path = look.out / "report.html"
    write_bytes(path, encoded(page(view, rows, shown=len(rows))))
    return path


def ranked(items: Sequence[Item], mious: Mapping[str, float]) -> list[Item]:
    """Return photographs in the order of the page, given the mIoU of some."""
    return sorted(items, key=partial(_urgency, mious))


def _urgency(mious: Mapping[str, float], item: Item) -> tuple[float, float, str]:
    return _last(mious.get(item.name, math.nan)), _last(item.quality), item.name


@dataclass
class _Census:
    """Sums over all records, taken while they pass by."""

    finished: int = 0
    elsewhere: int = 0
    qualities: "array[float]" = field(default_factory=lambda: array("d"))
    tagged: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    vanished: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    mended: list[Item] = field(default_factory=list)

    def count(self, records: Iterator[Item | Problem], samples: Mapping[str, Sample]) -> Iterator[Item]:
        """Yield the records of ``samples``."""
        for record in records:
            if isinstance(record, Problem):
                self.problems.append(record)
            elif record.name not in samples:
                self.elsewhere += 1
            else:
                self.finished += 1
                self.tagged.update(record.tags)
                self.present.update(name for name, ratio in record.ratios.items() if ratio > 0)
                self.vanished.update(record.vanished)
                self.states.update([record.state] if record.state else [])
                self.changed += record.changed > 0
                if record.state == "mended":
                    self.mended.append(record)
                if not math.isnan(record.quality):
                    self.qualities.append(record.quality)
                yield record


def _rows(items: Sequence[Item], samples: Mapping[str, Sample], look: Look, limit: int) -> list[str]:
    rows = []
    for _, loaded in ahead(items, lambda item: card(item, samples[item.name], look), weigh=_bytes):
        row = loaded.get()
        limit -= len(encoded(row))
        if limit < 0:  # a smaller one further down would fit, but then the page would not show the first ones
            break
        rows.append(row)
    return rows


def _bytes(item: Item) -> int:
    """Return the bytes that the pictures of a photograph take at once."""
    return 16 * (item.width or 1) * (item.height or 1)


def _last(value: float) -> float:
    return math.inf if math.isnan(value) else value
