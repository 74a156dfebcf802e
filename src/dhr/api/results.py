"""The results of the public functions: where the files are, rows for a table, and a view for notebooks."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import UInt8
from numpy.typing import NDArray

from dhr.api.result import MaskFiles, Result
from dhr.data.palette import class_palette
from dhr.data.samples import ClassTable, DataSet, Problem
from dhr.errors import DhrError
from dhr.results.places import mask_folder
from dhr.words import counted

if TYPE_CHECKING:
    from dhr.evaluate import Comparison
    from dhr.evaluate.adjacency import Adjacency
    from dhr.inspection import Inspection
    from dhr.job.dry_run import DryRun

_SHOWN = 6  # masks of a view
_SIDE = 160  # pixels of a picture's longer side


@dataclass(frozen=True, repr=False)
class MaskResult(Result):
    """Masks in an output folder, with one record for each photograph."""

    out: Path
    made: int
    """Finished masks in the folder."""
    left_out: tuple[Problem, ...]
    """Photographs without a mask, and why."""
    notes: tuple[str, ...]
    """Facts on the masks, one sentence each."""
    classes: ClassTable
    report: Path
    """The page with all masks, the most doubtful first."""
    data: DataSet

    @property
    def masks(self) -> MaskFiles:
        """The masks by name, read when they are asked for."""
        return MaskFiles(mask_folder(self.out))

    @property
    def summary(self) -> str:
        """The number of masks, and their folder."""
        left = f", {len(self.left_out)} left out" if self.left_out else ""
        return f"{counted(self.made, 'mask')} in {mask_folder(self.out)}{left}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per mask: its photograph, tags, size and quality; the most doubtful first."""
        found, masks = [], self.masks
        for name in masks:
            record = masks.stored.records.record(name)
            if record is not None:
                row = {"name": name, "quality": record.quality, "tags": list(record.tags or ())}
                row |= {"vanished": list(record.vanished), "width": record.width, "height": record.height}
                found.append({**row, "photograph": record.image, "mask": str(masks.path(name))})
        return sorted(found, key=lambda row: -1.0 if row["quality"] is None else row["quality"])

    def photograph(self, name: str) -> UInt8[NDArray[Any], "h w 3"] | None:
        """Return the photograph of a mask, if it can be read."""
        sample = next((sample for sample in self.data.samples if sample.name == name), None)
        try:
            return None if sample is None else self.data.read_image(sample)
        except (DhrError, OSError):
            return None

    def _pictures(self) -> str:
        from dhr.report.panels import data_uri, overlay, shrink_labels, thumbnail

        colours, shown, masks = class_palette(self.classes), [], self.masks
        for row in self.rows()[:_SHOWN]:
            try:
                labels, photograph = masks[row["name"]], self.photograph(row["name"])
            except DhrError:  # a person may have saved it as something else; evaluate and export say so
                continue
            small = thumbnail(colours[labels] if photograph is None else photograph, _SIDE)
            marked = overlay(small, shrink_labels(labels, *small.shape[:2]), colours, self.classes.background)
            text = escape(f"{row['name']}: {', '.join(row['tags'])}", quote=True)
            picture = f'<img src="{data_uri(marked)}" alt="{text}" title="{text}" style="margin:0">'
            shown.append(f'<div style="margin:2px">{picture}<div>{escape(str(row["name"]))}</div></div>')
        return f'<div style="display:flex; flex-wrap:wrap; align-items:flex-end">{"".join(shown)}</div>'


@dataclass(frozen=True, repr=False)
class RunResult(MaskResult):
    """The result of :func:`dhr.run`."""

    new: int
    """Masks that this call made."""
    vanished: int
    """Masks in which a tagged class has no pixel."""
    stages: tuple[Mapping[str, Any], ...]
    """Seconds and peak memory of each stage."""
    dry_run: "DryRun | None" = None
    """With ``dry_run``: the work that would be done; nothing was."""

    @property
    def classifier(self) -> Path:
        """The trained classifier, for ``classifier.file`` of other runs."""
        return self.out / "classifier.safetensors"

    @property
    def student(self) -> Path:
        """The student of a run with ``recursion``."""
        return self.out / "student.safetensors"


@dataclass(frozen=True, repr=False)
class PredictResult(MaskResult):
    """The result of :func:`dhr.predict`."""

    strange: tuple[str, ...] = ()
    """Masks in the folder that belong to other photographs."""


@dataclass(frozen=True, repr=False)
class TrainResult(Result):
    """The result of :func:`dhr.train` or :func:`dhr.train_head`."""

    out: Path
    file: Path
    """The student, or the head."""
    photographs: int
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    dry_run: "DryRun | None" = None
    """With ``dry_run``: the work that would be done; nothing was."""
    use: str = ""
    """Options that use the file."""

    @property
    def log(self) -> Path:
        """The losses, a CSV file."""
        return self.out / "training" / "log.csv"

    @property
    def summary(self) -> str:
        """The trained file, and the number of photographs."""
        return f"{self.file} of {counted(self.photographs, 'photograph')}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per line of the log."""
        if not self.log.is_file():
            return []
        with self.log.open(encoding="utf-8", newline="") as lines:
            return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(lines)]


@dataclass(frozen=True, repr=False)
class EvaluateResult(Result):
    """Scores of one or several folders of masks."""

    comparison: "Comparison"
    stages: bool
    """Whether the folders are the steps of a run."""
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...] = ()
    """Plots and the report, where they were written."""
    threads: int = 1

    @property
    def scores(self) -> Any:
        """The scores of the final masks of a run, or of the first of several folders."""
        return self.comparison.scores["mask"] if self.stages else next(iter(self.comparison.scores.values()))

    @property
    def complete(self) -> bool:
        """Whether every photograph with ground truth was scored, and all ground truth could be used."""
        last = self.scores
        unused = bool(last.without_truth and any(check.kind == "stray_truth" for check in last.checks))
        return not unused and not any(one.missing or one.wrong_size for one in self.comparison.scores.values())

    @property
    def summary(self) -> str:
        """The mIoU of each folder, in percent."""
        return ", ".join(f"{name}: mIoU {100 * one.miou:.1f} %" for name, one in self.comparison.scores.items())

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per folder and class, and one for all classes; in percent."""
        found = []
        for name, one in self.comparison.scores.items():
            found.append({"masks": name, "class": "", **one.whole_json()})
            found += [{"masks": name, "class": row.name, **row.to_json()} for row in one.per_class]
        return found


@dataclass(frozen=True, repr=False)
class ExportResult(Result):
    """The result of :func:`dhr.export`."""

    path: Path
    """The file or folder to import into the other tool."""
    to: str
    masks: int
    kept: int
    """Masks that were there before."""
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The number of masks that were written, and where."""
        return f"{counted(self.masks, 'mask')} as {self.to}: {self.path}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per mask that was left out."""
        return [{"source": one.source, "reason": one.reason} for one in self.left_out]


@dataclass(frozen=True, repr=False)
class InspectResult(Result):
    """The content of a data set."""

    inspection: "Inspection"
    format: str
    left_out: tuple[Problem, ...]
    """Broken files, each with the reason."""
    notes: tuple[str, ...]
    page: Path | None = None

    @property
    def summary(self) -> str:
        """The number of photographs and of classes."""
        found = self.inspection
        many = f"{counted(found.photographs, 'photograph')}, {counted(len(found.classes), 'class', 'classes')}"
        return f"{many}{f', {len(self.left_out)} broken' if self.left_out else ''}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per class: photographs that have it, alone and in ground truth."""
        names = ("name", "photographs", "alone", "in_truth")
        return [{name: getattr(one, name) for name in names} for one in self.inspection.classes]


@dataclass(frozen=True, repr=False)
class AdjacencyResult(Result):
    """Classes that touch, and classes that vanish beside others."""

    adjacency: "Adjacency"
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The share of the foreground that touches another class."""
        return f"{counted(self.adjacency.masks, 'mask')}, adjacent {100 * self.adjacency.adjacent:.1f} %"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per pair of classes that touch: the pixels of each in regions that touch the other."""
        found, names = self.adjacency, self.adjacency.classes.names
        return [
            {"class": names[i], "other": names[j], "masks": int(found.together[i, j]), "pixels": int(found.pairs[i, j])}
            for i, j in found.ranked()
        ]


@dataclass(frozen=True, repr=False)
class FeaturesResult(Result):
    """The result of :func:`dhr.features`."""

    store: Path
    computed: int
    there: int
    """Photographs whose features were there before."""
    removed: int
    """Entries that were deleted because of the limit."""
    entries: int
    megabytes: float
    limit_megabytes: float | None
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The number of features, and their store."""
        limit = "" if self.limit_megabytes is None else f" of {self.limit_megabytes:.1f}"
        return (
            f"Features of {counted(self.entries, 'photograph')} in {self.store}, {self.megabytes:.1f}{limit} MB: "
            f"{self.computed} computed, {self.there} were there"
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one row: the counts."""
        return [{name: getattr(self, name) for name in ("computed", "there", "removed", "entries", "megabytes")}]


def _number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
