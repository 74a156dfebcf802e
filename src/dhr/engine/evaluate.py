"""Scores of rows with Ray: workers compare masks with ground truth, the driver adds up their counts in order."""

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

import dhr
from dhr.corrections.beside import masks_at
from dhr.data.arrow_texts import texts_of
from dhr.data.manifest import ManifestDataSet
from dhr.data.manifest.columns import COLUMNS
from dhr.data.samples import Problem, Sample
from dhr.engine.cluster import cluster, share
from dhr.engine.config import Engine
from dhr.engine.manifest import Manifest, Unit, Units, in_split
from dhr.engine.pool import mapped
from dhr.engine.report import write_page
from dhr.engine.scorer import RowFiles, Scorer, ScoreWork
from dhr.errors import DataError
from dhr.evaluate.compare import Comparison
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.counts import Counts
from dhr.evaluate.folders import Predictions, refuse_extra, refuse_missing
from dhr.evaluate.sums import Look, Sums
from dhr.firsts import Firsts
from dhr.progress import Progress, Step, silent
from dhr.results.protocol import Masks

_UNIT = 64  # photographs
_NAMED = 1000  # photographs of a kind


@dataclass(frozen=True)
class EvaluateCall:
    """A call of :func:`evaluate`."""

    data: Path
    """A manifest with ground truth: a file, or a folder of files."""
    rows: Path
    """The folder of the rows."""
    name: str
    """Of the scores."""
    config: EvaluateConfig
    engine: Engine
    split: str | None = None
    page: bool = False
    """Whether the page of the run gets the scores."""


@dataclass
class Evaluated:
    """The result of :func:`evaluate`."""

    comparison: Comparison
    problems: tuple[Problem, ...]
    """Rows of the manifest that cannot be used, the first ones."""
    workers: int
    pages: tuple[Path, ...] = ()


def evaluate(call: EvaluateCall, progress: Progress = silent) -> Evaluated:
    """Compare the masks of rows with the ground truth of a manifest.

    The figures are those of :func:`dhr.evaluate.run.evaluate`, bit by bit: photographs are added in the same order.

    Raises:
        DhrError: as :func:`dhr.evaluate.run.evaluate`; or the cluster cannot be used.
    """
    manifest, masks = Manifest.open(call.data, call.split), masks_at(call.rows)
    found = _predictions(manifest, masks, call.config)
    sums = Sums(ManifestDataSet(manifest.classes, ()), {call.name: found}, call.config, _NAMED)
    units = Units(_UNIT).run(manifest)
    with cluster(call.engine.address) as ray:
        part = share(ray, call.engine.workers or call.config.workers, "cpu")
        work = ScoreWork(manifest, call.rows.resolve(), call.name, dhr.__version__)
        looks = mapped(ray, part, Scorer, work, [asdict(unit) for unit in units])
        counts = _added(sums, call.name, _in_order(looks), units, progress)
        missing = len(found.missing) + found.unnamed["missing"]
        comparison = sums.comparison(counts.scored, counts.scored + missing, counts.usable - counts.scored - missing)
        pages = list[Path]()
        if call.page:
            pages.append(write_page(ray, call.rows.resolve().parent, manifest, progress, comparison.scores))
    return Evaluated(comparison, tuple(counts.problems.first), part.workers, tuple(pages))


@dataclass
class _Counts:
    usable: int = 0
    """Rows of the manifest that can be used."""
    scored: int = 0
    """Those with a mask and ground truth."""
    problems: Firsts[Problem] = field(default_factory=lambda: Firsts[Problem](_NAMED))


def _added(sums: Sums, name: str, looks: Iterable[Mapping[str, Any]], units: list[Unit], progress: Progress) -> _Counts:
    """Add up what workers have seen."""
    counts, total, done = _Counts(), sum(unit.rows for unit in units), 0
    classes = len(sums.classes.names)
    for one in looks:
        counts.usable += one["usable"]
        counts.problems.extend([Problem(*pair) for pair in one["problems"]])
        counts.problems.count += one["unnamed"]
        for seen in one["looks"]:
            sample = Sample(seen["name"], seen["name"], tuple(seen["tags"]), True)
            sums.add(sample, _look(seen, name, classes))
        counts.scored += len(one["looks"])
        done += one["rows"]
        progress(Step("evaluate", done, total))
    return counts


def _look(seen: Mapping[str, Any], name: str, classes: int) -> Look:
    reasons = [{} if seen[kind] is None else {name: seen[kind]} for kind in ("wrong_size", "refused")]
    counts = {} if seen["places"] is None else {name: Counts.unpacked(seen["places"], seen["values"], classes)}
    return Look(counts, reasons[0], reasons[1], seen["unread"])


def _in_order(looks: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the units in the order of their numbers; those that are early wait."""
    early, wanted = dict[int, Mapping[str, Any]](), 0
    for text in looks:
        one = json.loads(text)
        early[one["unit"]] = one
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1


def _predictions(manifest: Manifest, masks: Masks, config: EvaluateConfig) -> Predictions:
    """Look for the mask of each photograph.

    Raises:
        DataError: there is no ground truth; a mask is missing or has no photograph, and that is not allowed.
    """
    missing, matched, truths, rows = Firsts[str](_NAMED), 0, 0, 0
    hashes, reader = [], manifest.reader()
    for first, batch in manifest.batches(COLUMNS):
        kept, ids = np.flatnonzero(in_split(batch, manifest.split)), texts_of(batch.column("id"))
        there = np.array([text is not None and masks.has(text) for text in ids.texts])[ids.of]
        true = _has_truth(batch)
        rows, truths, matched = rows + len(kept), truths + int(true[kept].sum()), matched + int(there[kept].sum())
        lost = kept[true[kept] & ~there[kept]]
        read = reader.read(batch.take(lost), (first + 1 + lost).tolist()) if len(lost) else ()
        names = [one.name for one in read if isinstance(one, Sample)]  # other rows have no mask in any run
        truths -= len(lost) - len(names)
        missing.extend(names)
        hashes.append(np.array([_hash(text or "") for text in ids.texts], np.uint64)[ids.of][kept])
    if not truths:
        raise DataError(
            f"{manifest.root}: none of its {rows} photographs has a ground-truth mask; name the masks in the column "
            "`truth`"
        )
    refuse_missing(masks.folder, missing, truths, config)
    extra, known = Firsts[str](_NAMED), np.sort(np.concatenate(hashes))
    if sum(1 for _ in masks.names()) > matched:
        strange = [name for name in masks.names() if not _holds(known, name)]
        extra.first, extra.count = heapq.nsmallest(_NAMED, strange), len(strange)
    refuse_extra(masks.folder, extra, config)
    unnamed = {"missing": len(missing) - len(missing.first), "extra": len(extra) - len(extra.first)}
    numbers = masks.numbering(manifest.classes, ())
    files = RowFiles(masks, matched)
    return Predictions(masks, files, tuple(missing.first), tuple(extra.first), numbers, unnamed)


def _has_truth(batch: Any) -> Any:
    """Return for each row whether it names ground truth."""
    if "truth" not in batch.schema.names:
        return np.zeros(batch.num_rows, bool)
    column = texts_of(batch.column("truth"))
    return np.array([text is not None for text in column.texts])[column.of]


def _hash(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogateescape"))


def _holds(known: Any, name: str) -> bool:
    wanted = np.uint64(_hash(name))
    place = int(np.searchsorted(known, wanted))
    return place < len(known) and bool(known[place] == wanted)
