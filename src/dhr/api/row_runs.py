"""The runs of the rows of ``dhr compare``, their scores, and its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dhr.api.rows import Row, RowList
from dhr.api.run import run
from dhr.corrections.beside import masks_at
from dhr.data.problems import problem_lines
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import DataError, DhrError, OutputError
from dhr.evaluate import compare as score
from dhr.evaluate import evaluate, stage_folder
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.folders import check_folder, find_predictions
from dhr.evaluate.masks import without_truth
from dhr.evaluate.table import Line, RowTable, write_rows
from dhr.files import write_json, write_output
from dhr.job.job import ANOTHER
from dhr.progress import PLAN, Progress, Step
from dhr.report.comparison import comparison_page
from dhr.report.shell import encoded
from dhr.words import counted, one_line

RECORD = "compare.json"
"""The file of all scores; it also shows that a folder is one of comparisons."""
LOCK = "compare.lock"
"""Held while a process writes there."""
_UNMARKED = ("open", "scan", PLAN)  # stages whose notes are printed as they are
_REASON = 1000  # characters


@dataclass(frozen=True)
class RowRuns:
    """The arguments of a call that all rows share."""

    photographs: DataSet
    samples: Sequence[Sample]
    """Photographs with ground truth."""
    folder: Path
    settings: EvaluateConfig

    def table(self, listed: RowList, progress: Progress) -> RowTable:
        """Make and score all rows; the record is written after each.

        Raises:
            DataError: the ground truth cannot be used.
        """
        lines: list[Line] = []
        self._write(lines)
        for number, row in enumerate(listed.rows, start=1):
            note = f"Row {number} of {len(listed.rows)}: {row.name}"
            progress(Step(PLAN, number, len(listed.rows), "rows", note))
            lines.append(self._line(row, _marked(progress, number)))
            self._write(lines)
        return replace(self._scored(lines, progress), elsewhere=listed.elsewhere)

    def _write(self, lines: Sequence[Line]) -> None:
        """Write the record of the rows so far."""
        write_json(self.folder / RECORD, {"finished": False, **RowTable(tuple(lines)).to_json()})

    def _line(self, row: Row, progress: Progress) -> Line:
        """Make the masks of a row; a row that fails has the reason."""
        line = Line(row.name, published=row.published)
        if row.masks is not None:
            return self._checked(replace(line, masks=row.masks))
        out = self.folder / "rows" / row.folder
        try:
            result = run(self.photographs, out, config=row.settings, progress=progress)
        except OutputError as error:
            return replace(line, reason=_refused(one_line(error, _REASON), row.name, out))
        except (DhrError, OSError, MemoryError, RuntimeError, ImportError) as error:  # PyTorch raises RuntimeError
            return replace(line, reason=one_line(error, _REASON))
        seconds = _seconds(result.stages) if row.step == "mask" else None
        return self._checked(replace(line, masks=stage_folder(out, row.step), seconds=seconds), result.left_out)

    def _checked(self, line: Line, left_out: Sequence[Problem] = ()) -> Line:
        """Check that the masks of a row are there; else return it with the reason."""
        assert line.masks is not None
        try:
            check_folder(line.masks)
            find_predictions(self.photographs, self.samples, masks_at(line.masks), self.settings)
        except DataError as error:
            why = "".join(f"; {text}" for text in problem_lines(left_out, 1))
            return replace(line, masks=None, reason=f"{error}{why}")
        return line

    def _scored(self, lines: Sequence[Line], progress: Progress) -> RowTable:
        """Score all rows together; a row whose masks cannot be compared fails, and the others are scored without it."""
        folders = {line.name: line.masks for line in lines if line.masks is not None}
        if not folders:
            return RowTable(tuple(lines))
        try:
            found = score(self.photographs, folders, self.settings, progress)
        except DataError:
            reasons = self._reasons(folders)
            if not reasons:
                raise
            rest = [
                replace(line, masks=None, reason=reasons[line.name]) if line.name in reasons else line for line in lines
            ]
            return self._scored(rest, progress)
        whole = (replace(line, scores=found.scores.get(line.name)) for line in lines)
        return RowTable(tuple(whole), found.differences)

    def _reasons(self, folders: Mapping[str, Path]) -> dict[str, str]:
        """Return why folders cannot be scored, each by itself."""
        found = {}
        for name, folder in folders.items():
            try:
                evaluate(self.photographs, folder, replace(self.settings, resamples=0))
            except DataError as error:
                found[name] = str(error)
        return found


def row_runs(photographs: DataSet, folder: Path, settings: EvaluateConfig) -> RowRuns:
    """Check the data set and the output folder, before any row is run.

    Raises:
        DataError: there is no ground truth.
        OutputError: the folder holds something else, or cannot be written.
    """
    samples = [sample for sample in photographs.samples if sample.has_ground_truth]
    if not samples:
        raise DataError(without_truth(photographs, "rows are compared by their scores; give a split that has some"))
    try:
        ours = any((folder / name).is_file() for name in (RECORD, LOCK))
        if folder.is_dir() and not ours and any(folder.iterdir()):
            raise OutputError(f"--out {folder} holds something other than a comparison; choose a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {folder} cannot be written ({error.strerror}); choose another folder") from error
    return RowRuns(photographs, samples, folder, settings)


def write_files(table: RowTable, folder: Path) -> tuple[Path, ...]:
    """Write the table as JSON, CSV and a page.

    Raises:
        DataError: every row failed; the files are written all the same.
        OutputError: the folder or the disk refuses.
    """
    files = folder / RECORD, folder / "compare.csv", folder / "compare.html"
    write_json(files[0], {"finished": True, **table.to_json()})
    write_rows(files[1], table)
    page = encoded(comparison_page(table, folder.resolve().name))
    write_output(files[2], lambda file: file.write(page))
    if not table.scored:
        reasons = "; ".join(f"{line.name}: {line.reason}" for line in table.failed[:3])
        raise DataError(f"{counted(len(table.failed), 'row')}, and none could be scored: {reasons}")
    return files


def _refused(reason: str, name: str, out: Path) -> str:
    """Return why a row's folder cannot be used, with the remedies of comparisons: they have no `--redo`."""
    differs, found, _ = reason.partition(f"; {ANOTHER}")
    return f"{differs}; rename the row {name!r}, delete {out}, or {ANOTHER}" if found else reason


def _seconds(stages: Sequence[Mapping[str, Any]]) -> float:
    """Return the time of a run without the scan, which each call repeats."""
    return round(sum(one.get("seconds") or 0.0 for one in stages if one["name"] != "scan"), 3)


def _marked(progress: Progress, number: int) -> Progress:
    """Show the number of the row before the names of its stages."""

    def show(step: Step) -> None:
        progress(step if step.stage in _UNMARKED else replace(step, stage=f"{number}: {step.stage}"))

    return show
