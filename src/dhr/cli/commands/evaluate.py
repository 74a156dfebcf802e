"""The command line of ``dhr evaluate``."""

from dataclasses import fields
from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, add_format, new_parser

_TEXT = """
    Score folders of masks against the ground truth of a data set (--data), or against a folder of
    ground-truth masks alone (--truth; NAME.png, 255 = void), which needs no photographs.

    Prints mIoU (mean over the classes of intersection over union, from one confusion matrix),
    minor-class IoU (mean over the photographs' classes that cover under 10 % of the labelled
    pixels), pixel accuracy, mean false positive and false negative rates, the F-score of edges, and
    the share of tagged classes that vanished; each class's own; and 95 % intervals of all.
    Several folders are compared on the same photographs with the first of them: the differences,
    how sure they are, and the photographs that differ most. Where the one folder belongs to a run,
    all its stages are scored, and its report.html gets ground truth, scores and charts, worst first.

    Missing masks, masks of no photograph and masks of another size than the ground truth are
    errors, unless allowed; then they are left out, and counted.
"""

_END = """
examples:
  dhr evaluate --data photos --pred out/masks
  dhr evaluate --truth VOC2012/SegmentationClass --pred out/masks
  dhr evaluate --data photos --pred mine theirs --json scores.json --csv scores.csv --plots plots

exit codes: 0 all photographs with ground truth scored; 1 some were left out, as allowed, or files
of ground truth could not be used; 2 nothing scored, one line says why.
"""


def _ready(arguments: list[str]) -> Ready:
    parser = new_parser(_TEXT, "dhr evaluate (--data DIR | --truth DIR) --pred DIR [DIR ...] [options]", _END)
    parser.add_argument("--data", type=Path | None, help="the data set, with ground truth")
    parser.add_argument(
        "--truth",
        type=Path | None,
        help="instead: ground-truth masks; classes from classes.txt in or beside it, from run.json, or VOC's",
    )
    parser.add_argument(
        "--pred", type=Path, nargs="+", action="extend", required=True, help="folders of masks, such as OUT/masks"
    )
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    add_format(parser)
    parser.add_argument("--json", type=Path | None, help="also write all scores to this file")
    parser.add_argument("--csv", type=Path | None, help="also write a line for each folder and class to this file")
    parser.add_argument("--plots", type=Path | None, help="also draw the scores into this folder (needs dhr[plots])")
    parser.add_argument("--allow_missing", action="store_true", help="leave out photographs without a mask, say which")
    parser.add_argument(
        "--allow_wrong_size", action="store_true", help="leave out photographs whose mask has another size, say which"
    )
    parser.add_argument("--allow_extra", action="store_true", help="ignore masks of no photograph, say which")
    parser.add_argument(
        "--resamples", type=int, default=1000, help="resamplings of photographs for 95 %% intervals; 0 for none"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resamplings")
    parser.add_argument("--workers", type=int | None, help="threads; the scores do not depend on it")

    def call(part: Namespace) -> Call:
        from dhr.cli.evaluate import Outputs, evaluate
        from dhr.evaluate import EvaluateConfig

        config = EvaluateConfig(**{field.name: part[field.name] for field in fields(EvaluateConfig)})
        outputs = Outputs(part.json, part.csv, part.plots)
        return partial(
            evaluate,
            part.data,
            part.truth,
            part.split,
            part.pred,
            config,
            outputs,
            layout=part.format,
            lenient=part.ignore_unknown,
        )

    return Ready(parser, call, arguments)


EVALUATE = Command("evaluate", "score masks against truth, and add the scores to the run's report", _ready)
