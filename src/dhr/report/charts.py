"""Charts of the scores: tables whose bars are inline SVG, so that they stay sharp, scale, and can be read aloud."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from dhr.evaluate.scores import ClassScore, Scores
from dhr.report.text import initial, named, percent
from dhr.words import STAGE_NAMES

_OPEN = 32  # bars in sight; the rest is folded away


def bar(fraction: float | int, kind: str = "main", mark: float | int = float("nan")) -> str:
    """Return an SVG bar that fills ``fraction``, 0..1, with a vertical ``mark``; NaN leaves either out."""
    width = 0.0 if math.isnan(fraction) else 100 * min(max(fraction, 0.0), 1.0)
    line = (
        ""
        if math.isnan(mark)
        else f'<rect class="mark" x="{min(100 * mark, 99.0):.2f}%" y="0" width="2" height="100%"/>'
    )
    return (
        f'<svg class="bar {kind}" aria-hidden="true"><rect class="track" width="100%" height="100%" rx="3"/>'
        f'<rect class="fill" width="{width:.2f}%" height="100%" rx="3"/>{line}</svg>'
    )


def swatch(colour: UInt8[np.ndarray, "3"]) -> str:
    """Return a square of a class's colour."""
    return f'<i class="swatch" style="background:#{bytes(colour).hex()}"></i>'


def stage_chart(scores: Mapping[str, Scores]) -> str:
    """Return mIoU and minor IoU of every stage, in the order of the method."""
    rows = "".join(
        f'<tr><th scope="row">{initial(name)}</th>'
        f"<td>{bar(scores[stage].miou)}</td><td class=num>{percent(scores[stage].miou)}</td>"
        f"<td>{bar(scores[stage].minor_iou, 'minor')}</td><td class=num>{percent(scores[stage].minor_iou)}</td></tr>"
        for stage, name in STAGE_NAMES.items()
        if stage in scores
    )
    return (
        '<table class="chart stages"><colgroup><col class="name"><col><col class="value"><col>'
        '<col class="value"></colgroup>'
        '<thead><tr><td></td><th scope="col" colspan="2">mIoU</th>'
        f'<th scope="col" colspan="2">Minor IoU</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def class_chart(scores: Scores, reference: Scores | None, colours: UInt8[np.ndarray, "256 3"]) -> str:
    """Return the IoU of every class of the ground truth, worst first, marked with ``reference``, an earlier stage.

    Classes that are not in the ground truth follow as a sentence.
    """
    ranked = sorted(
        (index for index, score in enumerate(scores.per_class) if score.truth_pixels),
        key=lambda index: _iou(scores, index),
    )
    rows = []
    for index in ranked:
        score = scores.per_class[index]
        mark = reference.per_class[index].iou if reference is not None else float("nan")
        rows.append(
            f'<tr><th scope="row">{swatch(colours[index])}{named(score.name, 24)}</th>'
            f"<td>{bar(score.iou, mark=mark)}</td><td class=num>{percent(score.iou)}</td></tr>"
        )
    chart = _bars(rows[:_OPEN])
    if len(rows) > _OPEN:
        chart += f"<details><summary>The other {len(rows) - _OPEN} classes</summary>{_bars(rows[_OPEN:])}</details>"
    absent = [score for score in scores.per_class if not score.truth_pixels]
    return (
        chart
        + _sentence("In neither ground truth nor masks: ", [score for score in absent if not score.predicted_pixels])
        + (_sentence("In masks but not in ground truth: ", [score for score in absent if score.predicted_pixels]))
    )


def _iou(scores: Scores, index: int) -> float:
    return scores.per_class[index].iou


def _bars(rows: Sequence[str]) -> str:
    half = (len(rows) + 1) // 2 if len(rows) > 8 else len(rows)
    parts = (rows[:half], rows[half:])
    start = '<table class="chart classes"><colgroup><col class="name"><col><col class="value"></colgroup>'
    tables = "".join(f"{start}<tbody>{''.join(part)}</tbody></table>" for part in parts if part)
    return f'<div class="columns">{tables}</div>'


def _sentence(start: str, absent: Sequence[ClassScore]) -> str:
    return f'<p class="note">{start}{", ".join(named(score.name) for score in absent)}.</p>' if absent else ""
