"""Scores as pictures: bars by class, bars of all scores, differences. Needs matplotlib."""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dhr.errors import ConfigError
from dhr.evaluate.bootstrap import Interval
from dhr.evaluate.compare import Difference
from dhr.evaluate.scores import WHOLE, Scores
from dhr.files import write_bytes

_ROW, _MOST_INCHES, _DPI = 0.16, 80.0, 110  # inches per bar; a picture of 255 classes and many folders stays readable


def check_matplotlib() -> None:
    """Raise :class:`~dhr.errors.ConfigError` if matplotlib is missing, before the long work."""
    if find_spec("matplotlib") is None:
        raise ConfigError("--plots needs matplotlib, which is not installed; pip install 'dhr[plots]', or leave it out")


def write_plots(folder: Path, scores: Mapping[str, Scores], differences: Sequence[Difference] = ()) -> list[Path]:
    """Write ``classes.png`` (IoU of each class in the ground truth), ``scores.png`` (all scores), and, of several sets,
    ``differences.png``; lines are 95 % intervals.

    Raises:
        ConfigError: there is no matplotlib.
        OutputError: the folder or the disk refuses.
    """
    check_matplotlib()
    first = next(iter(scores.values()))
    known = [index for index, entry in enumerate(first.per_class) if entry.truth_pixels]
    order = sorted(known, key=lambda index: first.per_class[index].iou)
    names = [first.per_class[index].name for index in order]
    by_class = {
        label: [(one.per_class[index].iou, one.per_class[index].intervals.get("iou")) for index in order]
        for label, one in scores.items()
    }
    whole = {label: [(getattr(one, name), one.intervals.get(name)) for name in WHOLE] for label, one in scores.items()}
    paths = [
        _bars(folder / "classes.png", names, by_class, "IoU, %"),
        _bars(folder / "scores.png", list(WHOLE.values()), whole, "%"),
    ]
    if differences:
        changes = {
            one.name: [(one.whole[name].value, one.whole[name].interval) for name in WHOLE] for one in differences
        }
        title = f"difference from {differences[0].against}, points"
        paths.append(_bars(folder / "differences.png", list(WHOLE.values()), changes, title))
    return paths


def _bars(
    path: Path, names: Sequence[str], values: Mapping[str, Sequence[tuple[float, Interval | None]]], title: str
) -> Path:
    """Draw horizontal bars: one group per name, one bar per set of masks."""
    from matplotlib.figure import Figure  # not pyplot, whose figures are global

    rows = len(names) * (len(values) + 1)
    figure = Figure(figsize=(8, min(1.2 + _ROW * rows, _MOST_INCHES)), dpi=_DPI, layout="constrained")
    axis = figure.subplots()
    thick = 1 / (len(values) + 0.5)
    for index, (label, ones) in enumerate(values.items()):
        places = [row + thick * (index - (len(values) - 1) / 2) for row in range(len(names))]
        widths = [0.0 if math.isnan(value) else 100 * value for value, _ in ones]
        bars = axis.barh(places, widths, thick, label=label)
        bars.set_label(label if not label.startswith("_") else f" {label}")  # "_" hides it from the legend
        _draw_intervals(axis, places, [interval for _, interval in ones])
    axis.set_yticks(range(len(names)))
    axis.set_yticklabels(names, parse_math=False)  # "$" is a letter
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlabel(title, parse_math=False)
    axis.grid(axis="x", alpha=0.3)
    axis.axvline(0, color="black", linewidth=0.8)
    if len(values) > 1 or not title.startswith("IoU"):
        for text in figure.legend(loc="outside upper center", ncols=3, fontsize="small").get_texts():
            text.set_parse_math(False)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a script that the font lacks is drawn as boxes
        figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
    return path


def _draw_intervals(axis: Any, places: Sequence[float], intervals: Sequence[Interval | None]) -> None:
    """Draw a thin line per interval; unlike an error bar, it may lie beside the value."""
    known = [(place, one) for place, one in zip(places, intervals, strict=True) if one and not math.isnan(one.low)]
    if known:
        lows, highs = [100 * one.low for _, one in known], [100 * one.high for _, one in known]
        axis.hlines([place for place, _ in known], lows, highs, color="black", linewidth=0.9)
