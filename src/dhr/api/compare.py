"""Several sources and refinements on one data set with ground truth: ``dhr.compare``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dhr.api.data import Data, opened, refuse_among, refuse_missing
from dhr.api.result import Result
from dhr.api.rows import Row, Rows, read_rows
from dhr.api.settings import Config
from dhr.data.problems import problem_lines
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import DataError, DhrError, OutputError
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.table import Line, RowTable, write_rows
from dhr.files import write_json, write_output
from dhr.progress import PLAN, Progress, Step, silent
from dhr.words import counted, one_line

RECORD = "compare.json"
"""The file of all scores; it also shows that a folder is one of comparisons."""
_UNMARKED = ("open", "scan", PLAN)  # stages whose notes are printed as they are


@dataclass(frozen=True)
class Scoring:
    """How rows are scored."""

    allow_missing: bool = False
    """Leave photographs that a row has no mask for out of the scores of all rows. Otherwise the row fails."""
    allow_extra: bool = False
    """Ignore masks without a photograph in the data set. Otherwise the row fails."""
    resamples: int = 1000
    """Resamplings of the bootstrap for intervals; 0 computes no intervals."""

    def settings(self) -> EvaluateConfig:
        """Return the settings of the evaluation.

        Raises:
            ConfigError: a number cannot be used.
        """
        return EvaluateConfig(self.allow_missing, allow_extra=self.allow_extra, resamples=self.resamples)


@dataclass(frozen=True, repr=False)
class CompareResult(Result):
    """The table of :func:`compare`."""

    table: RowTable
    out: Path
    left_out: tuple[Problem, ...]
    """Photographs that cannot be used, and rows that failed."""
    notes: tuple[str, ...]
    files: tuple[Path, ...] = ()
    """The table as JSON, CSV and a page."""

    @property
    def complete(self) -> bool:
        """Whether every row was scored on all photographs."""
        return not self.left_out and not any(one.missing for one in self.table.scored.values())

    @property
    def summary(self) -> str:
        """The mIoU of each row, in percent."""
        scored = [f"{name}: mIoU {100 * one.miou:.1f} %" for name, one in self.table.scored.items()]
        return ", ".join([*scored, *(f"{line.name}: failed" for line in self.table.failed)])

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per row of the table; see :meth:`~dhr.evaluate.table.RowTable.rows`."""
        return self.table.rows()


def compare(
    data: Data,
    out: Path | str,
    rows: Rows,
    *,
    config: Config = "default",
    scoring: Scoring | None = None,
    progress: Progress | None = None,
) -> CompareResult:
    """Compare several sources and refinements on one data set with ground truth.

    Each row is a run with the given settings and a few of its own, or a folder of masks. All rows are scored on the
    same photographs, and compared with the first. Rows with equal settings share one run.

    A row is written 'NAME: SETTING=VALUE SETTING=VALUE', such as 'IRN: wss.kind=irn'. Its other keys are preset and
    recipe; step=cam, which scores the CAMs alone; and masks=DIR, a folder of masks. A YAML file holds rows by name, and
    perhaps settings of all rows and published figures; docs/evaluate.md shows one.

    The output folder gets rows/NAME/ (a run each), compare.json, compare.csv and compare.html. The same command
    continues, and does not run finished rows again. A row that fails is named with the reason; the others go on.

    Args:
        data: the data folder, with ground truth.
        out: the output folder: new, empty, or of comparisons.
        rows: rows, or YAML files of rows.
        config: settings of all rows; a recipe or preset, a YAML file, or single ones.
        scoring: how rows are scored.
        progress: called as the work goes on.

    Returns:
        The table: scores with intervals, seconds, differences, published figures.

    Raises:
        DataError: there is no ground truth, or no row could be scored.
        ConfigError: a row or setting cannot work.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    listed, settings = read_rows(rows, config), (scoring or Scoring()).settings()
    folder, show = Path(out), progress or silent
    refuse_missing(data)
    _refuse_other_folder(folder)
    photographs = opened(data, show)
    refuse_among(folder, data, photographs)
    call = _Call(photographs, _with_ground_truth(photographs), folder, settings)
    lines: list[Line] = []
    for number, row in enumerate(listed.rows, start=1):
        show(Step(PLAN, number, len(listed.rows), "rows", f"Row {number} of {len(listed.rows)}: {row.name}"))
        lines.append(call.line(row, _marked(show, number)))
        write_json(folder / RECORD, {"finished": False, **RowTable(tuple(lines)).to_json()})
    table = call.scored(lines, show)
    return _with_files(replace(table, elsewhere=listed.elsewhere), photographs, folder)


def _refuse_other_folder(folder: Path) -> None:
    """Refuse a folder that holds something else, and make a new one."""
    try:
        if folder.is_dir() and not (folder / RECORD).is_file() and any(folder.iterdir()):
            raise OutputError(f"--out {folder} holds something other than a comparison; choose a new folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {folder} cannot be written ({error.strerror}); choose another folder") from error


def _seconds(stages: Sequence[Mapping[str, Any]]) -> float:
    """Return the time of a run without the scan, which each call repeats."""
    return round(sum(one.get("seconds") or 0.0 for one in stages if one["name"] != "scan"), 3)


def _with_ground_truth(photographs: DataSet) -> list[Sample]:
    samples = [sample for sample in photographs.samples if sample.has_ground_truth]
    if not samples:
        from dhr.evaluate.masks import without_truth

        raise DataError(without_truth(photographs, "rows are compared by their scores; give a split that has some"))
    return samples


def _marked(progress: Progress, number: int) -> Progress:
    """Show the number of the row before the names of its stages."""

    def show(step: Step) -> None:
        progress(step if step.stage in _UNMARKED else replace(step, stage=f"{number}: {step.stage}"))

    return show


@dataclass(frozen=True)
class _Call:
    """The arguments of a call that all rows share."""

    photographs: DataSet
    samples: Sequence[Sample]
    """Photographs with ground truth."""
    folder: Path
    settings: EvaluateConfig

    def line(self, row: Row, progress: Progress) -> Line:
        """Make the masks of a row; a row that fails has the reason."""
        line = Line(row.name, published=row.published)
        if row.masks is not None:
            return self._checked(replace(line, masks=row.masks))
        from dhr.api.run import run
        from dhr.evaluate import stage_folder

        out = self.folder / "rows" / row.folder
        try:
            result = run(self.photographs, out, config=row.settings, progress=progress)
        except OutputError as error:
            return replace(line, reason=f"{one_line(error)}; or delete {out}")
        except (DhrError, OSError, MemoryError, RuntimeError) as error:  # PyTorch raises RuntimeError
            return replace(line, reason=one_line(error))
        seconds = _seconds(result.stages) if row.step == "mask" else None
        return self._checked(replace(line, masks=stage_folder(out, row.step), seconds=seconds), result.left_out)

    def _checked(self, line: Line, left_out: Sequence[Problem] = ()) -> Line:
        """Check that the masks of a row are there; else return it with the reason."""
        from dhr.evaluate.folders import check_folder, find_predictions

        assert line.masks is not None
        try:
            check_folder(line.masks)
            find_predictions(self.photographs, self.samples, line.masks, self.settings)
        except DataError as error:
            why = "".join(f"; {text}" for text in problem_lines(left_out, 1))
            return replace(line, masks=None, reason=f"{error}{why}")
        return line

    def scored(self, lines: Sequence[Line], progress: Progress) -> RowTable:
        """Score all rows together; a row whose masks cannot be compared fails, and the others are scored without it."""
        from dhr.evaluate import compare as score

        folders = {line.name: line.masks for line in lines if line.masks is not None}
        if not folders:
            return RowTable(tuple(lines))
        try:
            found = score(self.photographs, folders, self.settings, progress)
        except DataError:
            reasons = self._reasons(folders)
            if not reasons:
                raise
            rest = [replace(one, masks=None, reason=reasons.get(one.name, one.reason)) for one in lines
                    if one.name in reasons]  # fmt: skip
            failed = {one.name: one for one in rest}
            return self.scored([failed.get(line.name, line) for line in lines], progress)
        whole = (replace(line, scores=found.scores.get(line.name)) for line in lines)
        return RowTable(tuple(whole), found.differences)

    def _reasons(self, folders: Mapping[str, Path]) -> dict[str, str]:
        """Return why folders cannot be scored, each by itself."""
        from dhr.evaluate import evaluate

        found = {}
        for name, folder in folders.items():
            try:
                evaluate(self.photographs, folder, replace(self.settings, resamples=0))
            except DataError as error:
                found[name] = str(error)
        return found


def _with_files(table: RowTable, photographs: DataSet, folder: Path) -> CompareResult:
    """Write the table as JSON, CSV and a page; if every row failed, raise DataError afterwards."""
    from dhr.report.comparison import comparison_page
    from dhr.report.shell import encoded

    files = folder / RECORD, folder / "compare.csv", folder / "compare.html"
    write_json(files[0], {"finished": True, **table.to_json()})
    write_rows(files[1], table)
    page = encoded(comparison_page(table, folder.resolve().name))
    write_output(files[2], lambda file: file.write(page))
    if not table.scored:
        reasons = "; ".join(f"{line.name}: {line.reason}" for line in table.failed[:3])
        raise DataError(f"{counted(len(table.failed), 'row')}, and none could be scored: {reasons}")
    failed = [Problem(f"row {line.name}", line.reason) for line in table.failed]
    checks = dict.fromkeys(check.text for one in table.scored.values() for check in one.checks)
    left_out = (*photographs.problems, *failed)
    return CompareResult(table, folder, left_out, (*photographs.notes, *checks), files)
