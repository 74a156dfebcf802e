"""Several sources and refinements on one data set with ground truth: ``dhr.compare``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhr.api.data import Data, opened, refuse_among, refuse_missing
from dhr.api.result import Result
from dhr.api.rows import Rows, read_rows
from dhr.api.settings import Config
from dhr.data.samples import Problem
from dhr.evaluate.config import EvaluateConfig
from dhr.locks import hold
from dhr.progress import Progress, silent

if TYPE_CHECKING:
    from dhr.evaluate.table import RowTable


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

    table: "RowTable"
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

    A row is written 'NAME: SETTING=VALUE SETTING=VALUE', such as 'PAMR: boundary.kind=pamr'. Its other keys are preset
    and recipe; step=cam, which scores the CAMs alone; and masks=DIR, a folder of masks. A YAML file holds rows by name,
    and perhaps settings of all rows and published figures; configs/rivals/ has examples.

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
    from dhr.api.row_runs import LOCK, row_runs, write_files

    photographs = opened(data, show)
    refuse_among(folder, data, photographs)
    runs = row_runs(photographs, folder, settings)
    with hold(folder, LOCK):
        table = runs.table(listed, show)
        files = write_files(table, folder)
    failed = [Problem(f"row {line.name}", line.reason) for line in table.failed]
    checks = dict.fromkeys(check.text for one in table.scored.values() for check in one.checks)
    return CompareResult(table, folder, (*photographs.problems, *failed), (*photographs.notes, *checks), files)
