"""The command line of ``dhr inspect``."""

from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, add_format, new_parser

_TEXT = """
    Describe a data set before anything runs. Every photograph and every ground-truth mask is read once.

    Counts photographs, tags, classes, sizes and ground truth. Names broken files (photographs that
    cannot be read, tag lines that match no photograph, masks of another size), photographs with the same
    content, and properties that will show in the masks: classes that always come together and so
    cannot be told apart by tags, classes with few photographs, tags and ground truth that disagree.

    --out writes one HTML page with pictures of every class. docs/data.md tells which layouts are read.
"""

_END = """
examples:
  dhr inspect --data photos --out photos.html
  dhr inspect --data VOCdevkit/VOC2012 --split train --out voc.html --json voc.json

exit codes: 0 everything can be used; 1 something is broken and named; 2 the data set cannot be opened,
one line says why.
"""


def _ready(arguments: list[str]) -> Ready:
    parser = new_parser(_TEXT, "dhr inspect --data DIR [--split NAME] [--out DIR|FILE.html] [--json FILE]", _END)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    add_format(parser)
    parser.add_argument("--out", type=Path | None, help="where the page goes: a folder (inspect.html), or FILE.html")
    parser.add_argument("--json", type=Path | None, help="also write all figures to this file")
    parser.add_argument("--workers", type=int | None, help="threads; by default one for each processor")

    def call(part: Namespace) -> Call:
        from dhr.cli.inspect import inspect

        return partial(
            inspect,
            part.data,
            part.split,
            part.out,
            part.json,
            part.workers,
            layout=part.format,
            lenient=part.ignore_unknown,
        )

    return Ready(parser, call, arguments)


INSPECT = Command("inspect", "say what a data set holds, and what of it is broken, before anything runs", _ready)
