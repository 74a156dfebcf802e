"""The command line of ``dhr demo``."""

from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    Run everything on generated scenes: draw them, train a small classifier on their tags from
    scratch, make masks with the default settings and with the paper's own, score every stage, write
    a report. Needs no network and no data.
"""


def _ready(arguments: list[str]) -> Ready:
    parser = new_parser(_TEXT, "dhr demo [--out DIR] [--scenes N] [--seed N]")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="the output folder")
    parser.add_argument("--scenes", type=int, default=240, help="number of scenes")
    parser.add_argument("--seed", type=int, default=0, help="seed of scenes, training and everything else")

    def call(part: Namespace) -> Call:
        from dhr.cli.demo import demo

        return partial(demo, part.out, part.scenes, part.seed)

    return Ready(parser, call, arguments)


DEMO = Command("demo", "the whole way on generated scenes, without any download", _ready)
