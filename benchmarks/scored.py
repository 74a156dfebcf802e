"""Scores as the benchmarks list them: in percent, with 95 % intervals over the photographs."""

from typing import Any

from dhr.evaluate.scores import Scores, percent

RESAMPLES = 1000


def columns(scores: Scores) -> dict[str, Any]:
    """Return the scores of a row; those of resamplings (:data:`RESAMPLES`) have ``intervals``."""
    return {
        "miou": 100 * scores.miou,
        "pixel_accuracy": 100 * scores.pixel_accuracy,
        "mfpr": 100 * scores.false_positive_rate,
        "mfnr": 100 * scores.false_negative_rate,
        "minor_iou": 100 * scores.minor_iou,
        "vanished": 100 * scores.vanished,
        "boundary_f": 100 * scores.boundary_f,
        "intervals": {name: [percent(one.low), percent(one.high)] for name, one in scores.intervals.items()},
    }


def cell(row: dict[str, Any], name: str, bold: bool = False) -> str:
    """Return a score as a table has it, with its interval if that is known.

    >>> cell({"miou": 81.25, "intervals": {"miou": [79.4, 84.4]}}, "miou")
    '81.2 (79.4…84.4)'
    """
    text = f"**{row[name]:.1f}**" if bold else f"{row[name]:.1f}"
    low, high = row["intervals"].get(name, (None, None))
    return text if low is None or high is None else f"{text} ({low:.1f}…{high:.1f})"
