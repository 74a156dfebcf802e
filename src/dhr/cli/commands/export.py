"""The command line of ``dhr export``."""

from dataclasses import fields
from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, add_format, new_parser

_TEXT = """
    Write masks as other tools read them. --to is one of

{formats}

    Background and void (255) are not annotated. Masks that are missing, damaged or of another size than
    their photograph are named and left out. png and yolo go on where they were interrupted.
    docs/export.md shows how to import each, and what it cannot hold.
"""


def _ready(arguments: list[str]) -> Ready:
    from dhr.export import FORMATS, ExportConfig

    formats = "\n".join(f"      {name:13} {one.help}" for name, one in FORMATS.items())
    parser = new_parser(
        _TEXT.format(formats=formats),
        "dhr export --data DIR --pred DIR --to FORMAT --out PATH [--split NAME] [settings]",
    )
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--pred", type=Path, required=True, help="the folder of masks, such as OUT/masks")
    parser.add_argument("--to", type=str, required=True, help=f"the format: {', '.join(FORMATS)}")
    parser.add_argument("--out", type=Path, required=True, help="the file or folder to write")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    add_format(parser)
    parser.add_class_arguments(ExportConfig, None)

    def call(part: Namespace) -> Call:
        from dhr.cli.export import export

        made = parser.instantiate(part)
        config = ExportConfig(**{field.name: made[field.name] for field in fields(ExportConfig)})
        return partial(
            export,
            part.data,
            part.pred,
            part.to,
            part.out,
            part.split,
            config,
            layout=part.format,
            lenient=part.ignore_unknown,
        )

    return Ready(parser, call, arguments)


EXPORT = Command(
    "export",
    "hand masks to other tools: COCO, YOLO, CVAT, Label Studio, test servers, ...",
    _ready,
)
