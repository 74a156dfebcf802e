"""The command line of ``dhr adjacency``."""

from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, add_format, new_parser

_TEXT = """
    Measure which share of the foreground touches another class, and which share of that is between
    super-classes (Figure 2 of the paper); with --pred, which classes vanish from masks, beside which others.

    --truth is a folder of masks, NAME.png (class ids, 255 = void). Its classes are those of a
    classes.txt in or beside it, or PASCAL VOC's if its masks look so; or those of --data, a data
    folder as of `dhr run`; without --truth its own ground truth is measured.

    Super-classes: --supers FILE, a CSV of class,supercategory; else the supercategories.csv of the
    data set, or VOC's four; or --groups uss, read off unsupervised features of --data.
    docs/adjacency.md says what counts as touching.

    Exit code 1: done, but some masks were left out.
"""

_NAMES = (
    *("truth", "data", "split", "pred", "supers", "groups", "tau", "centring", "long_side", "uss"),
    *("contact", "region", "json", "picture"),
)


def _ready(arguments: list[str]) -> Ready:
    from dhr.models.uss import UssConfig

    parser = new_parser(_TEXT, "dhr adjacency --truth DIR [--data DIR] [--pred DIR] [--json FILE] [--picture FILE]")
    parser.add_argument("--truth", type=Path | None, help="a folder of masks")
    parser.add_argument("--data", type=Path | None, help="a data folder: its classes, and its truth without --truth")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    add_format(parser)
    parser.add_argument("--pred", type=Path | None, help="masks of any method, to see which classes vanish from them")
    parser.add_argument("--supers", type=Path | None, help="CSV with columns class,supercategory")
    parser.add_argument("--groups", type=str, default="given", help="super-classes: given, or uss (from features)")
    parser.add_argument("--tau", type=float, default=0.8, help="cosine above which --groups uss joins two classes")
    parser.add_argument("--centring", type=float, default=0.5, help="of --groups uss, as method.centring of `dhr run`")
    parser.add_argument("--long_side", type=int, default=640, help="pixels of the photographs for --groups uss")
    parser.add_argument("--contact", type=float, default=5.0, help="pixels between regions that touch")
    parser.add_argument("--region", type=str, default="part", help="connected part of a class, or the whole class")
    parser.add_argument("--json", type=Path | None, help="also write all figures to this file")
    parser.add_argument("--picture", type=Path | None, help="also draw the matrix of class pairs, a PNG")
    parser.add_class_arguments(UssConfig, "uss")

    def call(part: Namespace) -> Call:
        from dhr.cli.adjacency import adjacency

        made = parser.instantiate(part)
        named = {name: made[name] for name in _NAMES}
        return partial(adjacency, **named, layout=made["format"], lenient=made["ignore_unknown"])

    return Ready(parser, call, arguments)


ADJACENCY = Command("adjacency", "which classes touch, and which vanish beside which others", _ready)
