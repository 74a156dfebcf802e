"""Scores as a CSV file, for spreadsheets and data frames."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dhr.evaluate.bootstrap import Interval
from dhr.evaluate.scores import BY_CLASS, ClassScore, Scores, percent
from dhr.files import write_output

_COUNTS = ("photographs", "truth_pixels", "predicted_pixels", "minor_pairs", "tagged_pairs", "vanished_pairs")
_OF_ALL = {"iou": "miou", "accuracy": "mean_accuracy", "precision": None}  # other names are the same
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins with one is a formula


def write_csv(path: Path, scores: Mapping[str, Scores]) -> None:
    """Write a line for each set of masks and class, and one of an empty class for all classes; in percent.

    Columns: ``masks``, ``class``, counts, ``pixel_accuracy`` (of all classes only), then each score with its interval,
    ``iou``, ``iou_low``, ``iou_high`` and so on. Unknown values (NaN) are empty. UTF-8. A name that a spreadsheet
    would take for a formula has a ``'`` put before it.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    columns = ["masks", "class", *_COUNTS, "pixel_accuracy"]
    columns += [column for name in BY_CLASS for column in (name, f"{name}_low", f"{name}_high")]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for masks, one in scores.items():
        writer.writerow({"masks": spreadsheet_text(masks), "class": "", **_whole(one)})
        for entry in one.per_class:
            writer.writerow({"masks": spreadsheet_text(masks), "class": spreadsheet_text(entry.name), **_entry(entry)})
    write_output(path, lambda file: file.write(text.getvalue().encode("utf-8", "replace")))


def _whole(scores: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {
        "photographs": scores.photographs,
        "truth_pixels": sum(entry.truth_pixels for entry in scores.per_class),
        "predicted_pixels": sum(entry.predicted_pixels for entry in scores.per_class),
        "minor_pairs": scores.minor_pairs,
        "tagged_pairs": scores.tagged_pairs,
        "vanished_pairs": sum(entry.vanished_pairs for entry in scores.per_class),
        "pixel_accuracy": percent(scores.pixel_accuracy),
    }
    for name in BY_CLASS:
        own = _OF_ALL.get(name, name)
        if own is not None:
            row |= _score(name, getattr(scores, own), scores.intervals.get(own))
    return row


def _entry(entry: ClassScore) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(entry, name) for name in _COUNTS}
    for name in BY_CLASS:
        row |= _score(name, getattr(entry, name), entry.intervals.get(name))
    return row


def _score(name: str, value: float, interval: Interval | None) -> dict[str, Any]:
    low, high = (interval.low, interval.high) if interval else (math.nan, math.nan)
    return {name: percent(value), f"{name}_low": percent(low), f"{name}_high": percent(high)}


def spreadsheet_text(name: str) -> str:
    """Put a `'` before a text that a spreadsheet would take for a formula."""
    return "'" + name if name.startswith(_FORMULA) else name
