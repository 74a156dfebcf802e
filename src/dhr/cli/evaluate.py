"""``dhr evaluate``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dhr import evaluate as scoring
from dhr.cli.left_out import print_problems
from dhr.cli.opening import opened
from dhr.cli.progress import Bars
from dhr.cli.score_tables import STAGE_NAMES, class_table, comparison_tables, print_checks, stage_table, whole_table
from dhr.data.open import AUTO
from dhr.data.samples import DataSet
from dhr.errors import ConfigError
from dhr.evaluate import Comparison, EvaluateConfig
from dhr.evaluate.sheet import write_csv
from dhr.evaluate.threads import processors
from dhr.files import check_output, write_json_output
from dhr.report import write_report


@dataclass(frozen=True)
class Outputs:
    """Files that are written beside what is printed."""

    json: Path | None = None
    csv: Path | None = None
    plots: Path | None = None


def evaluate(
    data: Path | None,
    truth: Path | None,
    split: str | None,
    pred: Sequence[Path],
    config: EvaluateConfig,
    outputs: Outputs,
    layout: str = AUTO,
    lenient: bool = False,
) -> int:
    """Score folders of masks; 1 if photographs had to be left out, else 0.

    That is where masks are missing or misshapen, or lack ground truth while files of ground truth are not used.
    """
    if (data is None) == (truth is None):
        raise ConfigError(
            "give --data DIR, a data set with ground truth, or --truth DIR, a folder of ground-truth masks alone"
        )
    if data is None and split is not None:
        raise ConfigError("--split chooses photographs of a data set; give --data DIR")
    if outputs.plots is not None:
        from dhr.evaluate.plots import check_matplotlib

        check_matplotlib()
    for file in (outputs.json, outputs.csv, None if outputs.plots is None else outputs.plots / "plot.png"):
        if file is not None:
            check_output(file)
    console = Console()
    out = pred[0].resolve().parent
    of_run = data is not None and len(pred) == 1 and pred[0].resolve().name == "masks" and (out / "run.json").is_file()
    folders = scoring.stage_folders(out) if of_run else dict(zip(labels(pred), pred, strict=True))
    with Bars(console) as bars:
        photographs: DataSet
        if data is not None:
            photographs = opened(data, split, layout, bars, lenient)
        else:
            assert truth is not None
            photographs = scoring.GroundTruthFolder(truth)
        found = scoring.compare(photographs, folders, config, bars)
    shown = {STAGE_NAMES[stage]: one for stage, one in found.scores.items()} if of_run else found.scores
    last = found.scores["mask"] if of_run else next(iter(found.scores.values()))
    # Of a run, the stages before the last are there to be compared with it: they may lack classes.
    print_checks(console, last.checks if of_run else found.checks, photographs.notes if data is not None else ())
    if len(pred) == 1:
        console.print(class_table(last))
    if of_run:
        console.print(stage_table(shown))
    console.print(whole_table({"final mask": last} if of_run else shown))
    if len(pred) > 1:
        for table in comparison_tables(found):
            console.print(table)
    print_problems(console, photographs.problems)
    for line in _left_out(found, of_run):
        console.print(escape(line), soft_wrap=True, highlight=False)
    console.print(f"{len(last.per_image)} photographs, {config.workers or processors()} threads", highlight=False)

    if outputs.json is not None:
        values = found.to_json() if len(pred) > 1 else last.to_json()
        if of_run:
            values["stages"] = {stage: one.whole_json() for stage, one in found.scores.items()}
        write_json_output(outputs.json, values)
    if outputs.csv is not None:
        write_csv(outputs.csv, shown)
    if outputs.plots is not None:
        from dhr.evaluate.plots import write_plots

        for path in write_plots(outputs.plots, shown, () if of_run else found.differences):
            console.print(f"Plot: {escape(str(path))}", highlight=False, soft_wrap=True)
    if of_run:
        report = write_report(out, photographs, found.scores)
        console.print(f"Report: {escape(str(report))}", highlight=False, soft_wrap=True)
    unused = bool(last.without_truth and any(check.kind == "stray_truth" for check in last.checks))
    return 1 if unused or any(one.missing or one.wrong_size for one in found.scores.values()) else 0


def labels(folders: Sequence[Path]) -> list[str]:
    """What tables call the folders: their last names, as many as tell them apart.

    >>> labels([Path("a/masks"), Path("b/masks")]), labels([Path("out/fine"), Path("out/coarse")])
    (['a/masks', 'b/masks'], ['fine', 'coarse'])

    Raises:
        ConfigError: a folder is given twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise ConfigError("--pred names a folder twice; name each once")
    for count in range(1, max(map(len, parts)) + 1):
        short = ["/".join(names[-count:]) for names in parts]
        if len(set(short)) == len(short):
            break
    return short


def _left_out(found: Comparison, of_run: bool) -> list[str]:
    """What did not count, a line a reason."""
    lines = dict[str, None]()  # the stages of a run mostly lack the same
    for name, one in found.scores.items():
        where = "" if of_run or len(found.scores) == 1 else f"{name}: "
        reasons: Mapping[str, Sequence[str]] = {
            "without a mask": one.missing,
            "with a mask of another size": one.wrong_size,
            "masks of no photograph": one.extra,
        }
        for reason, names in reasons.items():
            if names:
                lines[f"{where}{len(names)} {reason}, not scored: {', '.join(names[:5])}"] = None
        if one.elsewhere and not of_run:
            lines[f"{where}{one.elsewhere} not scored because another folder lacks them"] = None
    return list(lines)
