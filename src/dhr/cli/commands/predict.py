"""The command line of ``dhr predict``."""

from dataclasses import fields
from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    Segment every photograph of a folder with a student, without tags.

    The output folder gets masks/NAME.png, report.html (the least certain masks first) and run.json.
    Given --tags (a tags.csv), photographs get only their tagged classes and the background.
    Interrupted, the same command goes on where it stopped. Called again, it segments new photographs and
    those that changed; masks of photographs that are gone stay, and are named.
"""


def _ready(arguments: list[str]) -> Ready:
    from dhr.job.segment import PredictConfig

    parser = new_parser(_TEXT, "dhr predict --student FILE --images DIR --out DIR [--tags FILE] [settings]")
    parser.add_argument("--student", type=Path, required=True, help="student.safetensors of `dhr train` or `dhr run`")
    parser.add_argument("--images", type=Path, required=True, help="the folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="the output folder: new, empty, or of the same call")
    parser.add_argument("--tags", type=Path | None, help="a tags.csv: each photograph gets only its tagged classes")
    parser.add_class_arguments(PredictConfig, None)

    def call(part: Namespace) -> Call:
        from dhr.cli.student import predict

        made = parser.instantiate(part)
        config = PredictConfig(**{field.name: made[field.name] for field in fields(PredictConfig)})
        return partial(predict, part.student, part.images, part.out, part.tags, config)

    return Ready(parser, call, arguments)


PREDICT = Command("predict", "segment photographs with a student", _ready)
