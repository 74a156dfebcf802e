"""The page of a job with rows: sums that workers make, and a sample of the least certain masks."""

import math
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from dhr.corrections import Corrections
from dhr.corrections.beside import masks_at
from dhr.data.manifest import ManifestDataSet
from dhr.data.palette import class_palette
from dhr.data.samples import ClassTable, Sample
from dhr.engine.manifest import Manifest
from dhr.engine.pool import in_tasks
from dhr.errors import OutputError
from dhr.evaluate.scores import Scores
from dhr.progress import Progress, Step
from dhr.records.item import ItemRecord
from dhr.records.run import read_run_leniently
from dhr.report.build import BUDGET, put_page, ranked
from dhr.report.card import Look
from dhr.report.page import Overview
from dhr.report.parts import Part
from dhr.report.ranks import Ranks
from dhr.report.records import Item, item_of
from dhr.results.part import PartError
from dhr.results.places import mask_folder, parts_in
from dhr.results.protocol import Masks
from dhr.results.row import settings_digest
from dhr.results.summary import WORST, Summary, summed

_MENDED = 100  # of them


def is_outdated(out: Path) -> bool:
    """Return whether a job has worked since its page was written."""
    report, record = out / "report.html", out / "run.json"
    return not report.is_file() or report.stat().st_mtime_ns < record.stat().st_mtime_ns


def write_page(
    ray: Any, out: Path, manifest: Manifest, progress: Progress, scores: Mapping[str, Scores] | None = None
) -> Path:
    """Write ``out/report.html``; its size and the memory do not depend on the number of photographs.

    Args:
        ray: the package, connected.
        out: the output folder of a job with rows.
        manifest: its photographs.
        progress: called after each file of rows.
        scores: scores of the masks, as for :func:`dhr.report.build.write_report`.

    Returns:
        The path of the page.
    """
    run, scores = read_run_leniently(out / "run.json"), scores or {}
    classes = manifest.classes if scores else ClassTable(run.classes or (), bool(run.background))
    whole, parts = _summed(ray, out, settings_digest(run.identity), progress)
    masks, colours = masks_at(mask_folder(out)), class_palette(classes)
    mious = {stage: {one.name: one.miou for one in result.per_image} for stage, result in scores.items()}
    items, states = _items(out, masks, [*mious.get("mask", {})] or [name for _, name in whole.worst])
    items = ranked(items, mious.get("mask", {}))[:WORST]
    data = ManifestDataSet(classes, manifest.named({item.name for item in items}))
    samples: dict[str, Sample] = {sample.name: sample for sample in data.samples}
    view = Overview(
        title=out.resolve().name,
        run=run,
        skipped=(*run.skipped, *masks.problems),
        classes=classes,
        colours=colours,
        scores=scores,
        finished=whole.masks,
        elsewhere=0,
        tagged=whole.tagged,
        present=whole.present,
        vanished=whole.vanished,
        states=states,
        changed=whole.changed,
        parts=parts,
        sums=whole,
    )
    places, ranks = {name: index for index, name in enumerate(classes.names)}, Ranks.of(whole)
    look = Look(data, out, colours, places, mious, masks, ranks)
    return put_page(view, [item for item in items if item.name in samples], samples, look, BUDGET)


def _summed(ray: Any, out: Path, settings: str, progress: Progress) -> tuple[Summary, list[Part]]:
    """Have the workers add up each file of rows; return the sums, and the files with the least certain first."""
    whole, found, paths = Summary(), list[Part](), parts_in(mask_folder(out).resolve())
    for path, text in in_tasks(ray, partial(_sums, settings), [str(path) for path in paths]):
        if text:  # of damaged files the page tells as of a problem
            one = Summary.parse(text)
            whole.add(one)
            found.append(Part(Path(path).name, one.masks, one.quality, one.lost, one.seconds or math.nan, one.failed))
            progress(Step("report", len(found), len(paths), "files"))
    return whole, sorted(found, key=Part.rank)


def _sums(settings: str, path: str) -> str:
    """Add up a file of rows on a worker; empty if it is damaged."""
    try:
        return summed(Path(path), settings).text()
    except PartError:
        return ""


def _items(out: Path, masks: Masks, names: list[str]) -> tuple[list[Item], Counter[str]]:
    """Return the photographs of the sample, some that a person mended, and the number of all decisions by state."""
    store, states, mended = Corrections.of(out), Counter[str](), list[str]()
    decided = {}
    for name in sorted(store.names()):
        try:
            decided[name] = correction = store.read(name)
        except OutputError:
            continue
        if correction is not None:
            states[correction.state] += 1
            mended += [name] if correction.state == "mended" else []
    wanted = [*islice(mended, _MENDED), *names]
    records: dict[str, ItemRecord | None] = {name: masks.records.record(name) for name in dict.fromkeys(wanted)}
    return [item_of(name, one, decided.get(name)) for name, one in records.items() if one is not None], states
