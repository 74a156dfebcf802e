"""What a run will use, and what it will cost: ``dhr.plan``."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhr.api.data import Data, opened, refuse_missing
from dhr.api.result import Result
from dhr.api.settings import Config, run_settings
from dhr.corrections.decisions import rejected_note
from dhr.data.samples import Problem
from dhr.files import check_output, write_json_output
from dhr.progress import Progress, silent
from dhr.words import counted, duration

if TYPE_CHECKING:
    from dhr.job.plan import Plan


@dataclass(frozen=True, repr=False)
class PlanResult(Result):
    """The result of :func:`plan`."""

    plan: "Plan"
    left_out: tuple[Problem, ...]
    """Photographs that cannot be used."""
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the weights can be had; without them the cost is unknown."""
        return self.plan.missing is None

    @property
    def summary(self) -> str:
        """The number of photographs, and the time."""
        photographs = counted(self.plan.fingerprint.photographs, "photograph")
        cost = self.plan.estimate
        if cost is not None:
            least, most = cost.seconds
            return f"{photographs}, {duration(least)} to {duration(most)}"
        return f"{photographs}, {'weights are missing' if self.plan.missing else 'everything is made'}"

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per stage: its work, and its time and memory if they were measured."""
        cost = self.plan.estimate
        if cost is None:
            return [{"stage": one.name, "amount": one.amount, "unit": one.unit} for one in self.plan.work]
        return [{"stage": row.pop("name"), **row} for row in map(asdict, cost.stages)]

    def to_json(self) -> Mapping[str, Any]:
        """Return all facts as JSON values."""
        found, cost = asdict(self.plan), self.plan.estimate
        found["problems"] = [{"source": one.source, "reason": one.reason} for one in self.plan.problems]
        if cost is not None:
            least, most = cost.seconds
            found["estimate"] |= {"least": least, "most": most, "memory_mb": cost.memory_mb}
        return found


def plan(
    data: Data,
    out: Path | str | None = None,
    *,
    json: Path | str | None = None,
    config: Config = "default",
    progress: Progress | None = None,
) -> PlanResult:
    """Plan a run: describe the data set, what `dhr run` would use and why, and its time, memory and disk.

    The cost is measured: a few photographs go through the whole run in a temporary folder, which takes some seconds, or
    with large networks about half a minute. It is then multiplied. A stage that is already made in the output folder
    costs nothing. Nothing is written.

    Args:
        data: the data folder.
        out: output folder of a run, whose rest is planned.
        json: a file that gets all facts.
        config: settings; a recipe or preset, a YAML file, or single ones.
        progress: called as the work goes on.

    Returns:
        The plan. Its cost is unknown if weights cannot be had.

    Raises:
        DataError: no photograph can be used.
        ConfigError: a setting cannot work.
        OutputError: ``out`` holds something else, or a run with other settings.
    """
    settings, _ = run_settings(config)
    refuse_missing(data)
    if json is not None:
        check_output(Path(json))
    from dhr.job.plan import plan as plan_job

    photographs = opened(data, progress or silent)
    found = plan_job(photographs, None if out is None else Path(out), settings, progress or silent)
    result = PlanResult(found, found.problems, (*photographs.notes, *rejected_note(found.rejected)))
    if json is not None:
        write_json_output(Path(json), result.to_json())
    return result
