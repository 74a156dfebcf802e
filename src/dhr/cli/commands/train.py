"""The command line of ``dhr train``."""

from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    Train a student on photographs, their tags, and masks of any method: a network that segments
    photographs without tags. While it learns, its own maps are rebalanced in every step and teach
    its decoder (recursion, Section 3.3 of the paper; --student_training.recursion false for the masks alone).

    --student.kind mask2former trains a Mask2Former on finished masks instead, as a second stage: no
    tags are learnt, no recursion; pixels that are void in the masks teach nothing. It needs
    transformers (pip install 'dhr[mask2former]') and settings of training that suit transformers:
    configs/paper/*_swin_mask2former.yaml. Its losses draw points at random, so they differ a little
    with the number of processes.

    The data folder is that of `dhr run`; --masks is a folder of NAME.png with class ids, such as
    OUT/masks of a run (255 = void). Without --masks the student learns from its own maps alone.

    The output folder:
      student.safetensors   what `dhr predict` and `dhr onnx` take
      training/             log.csv, TensorBoard's events, checkpoints, pictures of the masks
      classifier.safetensors   the classifier that the student starts from (--classifier.file names another)

    Interrupted, the same command goes on from the last checkpoint, and ends with the same weights.
    Several processes: --student_training.devices N on one machine, or torchrun, or SLURM. `dhr run --recursion
    true` does all at once: masks, a student, and better masks from its maps.
    A student that learns a run's final masks from the start: --masks OUT/masks --student_training.recursion
    false --classifier.file OUT/classifier.safetensors, and the run's other settings.
"""


def _ready(arguments: list[str]) -> Ready:
    from dhr.cli.early import early

    given = early(arguments)  # first: what follows takes seconds and hundreds of megabytes
    from dhr.cli.settings import add_settings, check_groups, run_config

    check_groups(given)
    parser = new_parser(_TEXT, "dhr train --data DIR --out DIR [--masks DIR] [--config FILE] [settings]")
    parser.add_argument("--masks", type=Path | None, help="masks to begin with, NAME.png")
    add_settings(parser, given.preset)

    def call(part: Namespace) -> Call:
        from dhr.cli.student import train

        config = run_config(parser.instantiate(part), given)
        return partial(
            train, part.data, part.masks, part.out, part.split, config, layout=part.format, lenient=part.ignore_unknown
        )

    return Ready(parser, call, given.arguments)


TRAIN = Command(
    "train",
    "teach a student by masks: a network that segments photographs without tags",
    _ready,
)
