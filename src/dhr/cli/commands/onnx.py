"""The command line of ``dhr onnx``."""

from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    Write a student as an ONNX file: `images` (batch, 3, height, width), RGB in 0..1, to `probabilities`
    of all classes. The file is written if onnxruntime agrees with PyTorch on it.
"""


def _ready(arguments: list[str]) -> Ready:
    parser = new_parser(_TEXT, "dhr onnx --student FILE --out FILE [--height N] [--width N]")
    parser.add_argument("--student", type=Path, required=True, help="student.safetensors of `dhr train` or `dhr run`")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--height", type=int, default=320, help="pixels of the images")
    parser.add_argument("--width", type=int, default=320, help="pixels of the images")

    def call(part: Namespace) -> Call:
        from dhr.cli.student import onnx

        return partial(onnx, part.student, part.out, part.height, part.width)

    return Ready(parser, call, arguments)


ONNX = Command("onnx", "write a student for other runtimes", _ready)
