"""The page around the photographs: numbers, charts, stages, classes, and what was skipped."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import ClassTable, Problem
from dhr.evaluate.scores import Scores
from dhr.records.correction import State
from dhr.records.run import RunRecord
from dhr.report.aggregate import by_class, by_quality
from dhr.report.charts import bar, class_chart, stage_chart, swatch
from dhr.report.parts import Part, parts
from dhr.report.shell import document, tile_row, tools
from dhr.report.sources import sources
from dhr.report.survey import survey
from dhr.report.text import duration, memory, named, percent, safe
from dhr.words import counted

if TYPE_CHECKING:
    from dhr.results.summary import Summary

STATES = get_args(State)
"""A person's decisions, in the order of the page."""
_SKIPPED = 200  # skipped photographs in the list
_SETTINGS = 20_000  # characters of settings


@dataclass(frozen=True)
class Overview:
    """Everything above the photographs."""

    title: str
    run: RunRecord
    skipped: Sequence[Problem]
    classes: ClassTable
    colours: UInt8[np.ndarray, "256 3"]
    scores: Mapping[str, Scores]
    """By stage; empty without ground truth."""
    finished: int
    """Photographs of the data set with a record."""
    elsewhere: int
    """Records of photographs outside the data set."""
    tagged: Mapping[str, int]
    """Photographs by class name; empty for photographs without tags."""
    present: Mapping[str, int]
    """Masks by class name."""
    vanished: Mapping[str, int]
    """Photographs by class name."""
    states: Mapping[str, int]
    """Photographs by a person's decision."""
    changed: int
    """Photographs whose mask differs from the one that it replaced."""
    parts: Sequence[Part] = ()
    """The Parquet files of a run with rows, the least certain first."""
    sums: "Summary | None" = None
    """Sums over the rows of a job on a cluster."""


def page(view: Overview, rows: Sequence[str], shown: int) -> str:
    """Return the whole page; ``rows`` are the photographs' cards, ``shown`` the number that the text gives."""
    facts = "".join(f"<span>{label} <b>{safe(value)}</b></span>" for label, value in _facts(view.run))
    classes, qualities = _classes(view), ""
    if view.sums is not None:
        classes, qualities = by_class(view.sums, view.classes, view.colours), by_quality(view.sums)
    first, rest = (_stages(view), _by_class(view) + classes) if view.scores else (classes, "")
    sections = (
        f'<div class="columns">{first}{_run(view)}</div>',
        rest,
        qualities,
        sources(view.run),
        survey(view.run),
        parts(view.parts),
        _skipped(view.skipped, view.run),
        _photographs(view, rows, shown),
    )
    body = f"{_banners(view)}{_tiles(view)}\n{chr(10).join(sections)}"
    return document("dhr report", view.title, facts, body)


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    """Return labels and values that identify the run."""
    values = {"preset": run.preset, "seed": run.seed, "device": run.device, "version": run.dhr}
    return [(label, str(value)) for label, value in values.items() if value is not None]


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _banners(view: Overview) -> str:
    notes = []
    if view.run.status != "finished":
        notes.append("This run has not finished: the page shows its masks so far.")
    taught = view.run.taught
    if taught is not None and taught.changed is not None:
        notes.append(
            f"The survey learned from {counted(taught.masks, 'corrected mask')}. Then "
            f"{counted(taught.changed, 'other mask')} changed, in {counted(taught.pixels or 0, 'pixel')} in all."
        )
    final = view.scores.get("mask")
    if final is not None and final.missing:
        notes.append(f"{counted(final.number('missing'), 'photograph')} without a mask: not in the scores.")
    if final is not None and final.extra:
        notes.append(f"{counted(final.number('extra'), 'mask')} of no photograph in this data set: not in the scores.")
    if final is not None and final.without_truth:
        notes.append(f"{counted(final.without_truth, 'photograph')} without a ground-truth mask: not in the scores.")
    notes += [safe(check.text, 1500) for check in final.checks] if final is not None else []
    return "".join(f'<p class="banner">{note}</p>' for note in notes)


def _tiles(view: Overview) -> str:
    counts = view.run.counts
    tiles = [
        (f"{counts.get('photographs', view.finished):,}", "photographs"),
        (f"{counts.get('masks', view.finished):,}", "masks"),
        (f"{counts.get('skipped', len(view.skipped)):,}", "skipped"),
        *([] if view.run.seconds is None else [(duration(view.run.seconds), "in all")]),
        *((f"{view.states[state]:,}", state) for state in STATES if view.states.get(state)),
    ]
    final = view.scores.get("mask")
    if final is not None:
        scores = [
            (percent(final.miou), "mIoU"),
            (percent(final.minor_iou), "minor IoU"),
            (percent(final.pixel_accuracy), "pixel accuracy"),
            (percent(final.vanished), "classes vanished"),
        ]
        return tile_row(scores, "tiles strong") + tile_row(tiles, "tiles")
    return tile_row(tiles, "tiles")


def _stages(view: Overview) -> str:
    return (
        f'<section><h2>By stage</h2><div class="panel">{stage_chart(view.scores)}'
        '<p class="note">mIoU: mean over the classes of the ground truth. Minor IoU: mean over the classes that cover '
        "less than 10\u2009% of a photograph, within that photograph.</p></div></section>"
    )


def _by_class(view: Overview) -> str:
    final, reference = view.scores.get("mask"), view.scores.get("cam")
    if final is None:
        return ""
    key = "" if reference is None else '<p class="note"><i class="key"></i> where the CAMs alone were</p>'
    chart = class_chart(final, reference, view.colours)
    return f'<section><h2>IoU by class <small>worst first</small></h2><div class="panel">{chart}{key}</div></section>'


def _classes(view: Overview) -> str:
    chips = []
    for index, name in enumerate(view.classes.names):
        if index in view.classes.foreground:
            count, gone = (view.tagged or view.present).get(name, 0), view.vanished.get(name, 0)
            note = f" <b>{count:,}</b>" + (f' <span class="bad">▲ {gone:,}</span>' if gone else "")
        else:
            note = ""
        chips.append(f"<li>{swatch(view.colours[index])}{named(name, 32)}{note}</li>")
    warning = ' <span class="bad">▲</span> counts those in which it vanished.' if view.vanished else ""
    numbers = "photographs tagged with the class" if view.tagged else "masks that show the class"
    return (
        f'<section><h2>Classes</h2><div class="panel"><ul class="chips">{"".join(chips)}'
        f'<li><i class="swatch void"></i>void</li></ul>'
        f'<p class="note">The number counts the {numbers}.{warning}</p>'
        "</div></section>"
    )


def _run(view: Overview) -> str:
    run = view.run
    longest = max((stage.seconds or 0.0 for stage in run.stages), default=0.0)
    rows = "".join(
        f'<tr><th scope="row">{safe(stage.name)}</th>'
        f"<td>{bar(_known(stage.seconds) / longest if longest else math.nan, 'time')}</td>"
        f"<td class=num>{duration(_known(stage.seconds))}</td>"
        f"<td class=num>{memory(_known(stage.peak_memory_mb))}</td></tr>"
        for stage in run.stages
    )
    table = (
        '<table class="chart run"><colgroup><col class="name"><col><col class="value"><col class="value"></colgroup>'
        '<thead><tr><td></td><th scope="col" colspan="2">Time</th><th scope="col">Peak memory</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
        if rows
        else ""
    )
    chosen = run.settings or run.identity.settings
    settings = json.dumps({**chosen, "versions": run.versions}, indent=2, ensure_ascii=False, default=str)
    details = (
        "<details><summary>Command and settings</summary>"
        f"<pre>{safe(' '.join(run.command), 2000)}\n\n{safe(settings, _SETTINGS)}</pre></details>"
        if chosen or run.command
        else ""
    )
    return f'<section><h2>Run</h2><div class="panel">{table}{details}</div></section>' if table or details else ""


def _skipped(skipped: Sequence[Problem], run: RunRecord) -> str:
    """List what was skipped; of a run with rows, run.json names only the first photographs, and counts all."""
    if not skipped:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{named(problem.source, 120)}</th><td>{safe(problem.reason, 300)}</td></tr>'
        for problem in skipped[:_SKIPPED]
    )
    unnamed = max(run.counts.get("skipped", 0) - len(run.skipped), 0) if run.rows else 0
    total, where = len(skipped) + unnamed, "; the column <code>reason</code> of the rows names all" if run.rows else ""
    left = total - min(len(skipped), _SKIPPED)
    rest = f'<p class="note">and {left:,} more{where}</p>' if left else ""
    return (
        f'<section><h2>Skipped <small>{total:,}</small></h2><div class="panel">'
        f"<details{' open' if total <= 10 else ''}><summary>What, and why</summary>"
        f'<table class="skipped"><tbody>{rows}</tbody></table>{rest}</details></div></section>'
    )


def _photographs(view: Overview, rows: Sequence[str], shown: int) -> str:
    order = "worst" if "mask" in view.scores else "least certain"
    if not view.finished:
        text = "No photograph is finished."
    elif shown < view.finished:
        text = f"Showing the {shown:,} {order} of {view.finished:,}, {order} first."
    else:
        text = f"All {view.finished:,}, {order} first." if view.finished > 1 else "The only one."
    if view.finished > 1:
        text += " Quality rank 1 is the least certain mask."
    if view.elsewhere:
        text += f" The run has {counted(view.elsewhere, 'more photograph')} outside this data set."
    vanished = [("gone", "a class vanished")] if view.tagged else []
    doubtful = ("doubtful", "lowest tenth in quality")
    decided = [(state, f"{state} in review") for state in STATES if view.states.get(state)]
    changed = [("changed", "the mask changed")] if view.changed else []
    choices = {
        "class": ("Class", [("", "all"), *_options(view)]),
        "state": ("State", [("", "all"), *vanished, doubtful, *decided, *changed]),
        "sort": ("Order", [*_orders(order), *([("changed", "most changed first")] if changed else [])]),
    }
    head = f'<section><h2>Photographs</h2><p class="lead">{text}</p>'
    return f'{head}{tools("photographs", "article", choices)}\n<div id="photographs">{"".join(rows)}</div></section>'


def _options(view: Overview) -> list[tuple[str, str]]:
    names = view.classes.names
    return [(str(index), safe(names[index], 40)) for index in sorted(view.classes.foreground, key=lambda i: names[i])]


def _orders(order: str) -> list[tuple[str, str]]:
    by_quality = [("quality", "least certain first")] if order == "worst" else []
    last = "best first" if order == "worst" else "most certain first"
    return [("first", f"{order} first"), ("last", last), *by_quality, ("name", "by name")]
