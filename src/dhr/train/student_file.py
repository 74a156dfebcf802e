"""A student in one file: the weights, the settings of the network, and its classes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, WeightsError
from dhr.files import write_bytes
from dhr.models.config import WssConfig
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss.classifier import TagClassifier
from dhr.parsing import parse_json
from dhr.tensors import check_finite, check_shapes, read_tensors
from dhr.train.student_header import FORMAT, StudentHeader
from dhr.words import one_line

MAX_BYTES = 16_000_000_000
"""Largest file, bytes; a Mask2Former on Swin-L has 0.9 GB."""
_TRIAL = 64  # pixels of an image that every student can take


@dataclass(frozen=True)
class StudentFile:
    """The content of a student's file."""

    student: Any
    """A :class:`~dhr.models.student.StudentModel`."""
    classes: ClassTable
    long_side: int
    """Size of the photographs in training, see :class:`~dhr.data.transforms.ImageConfig`."""


def write_student(path: Path, student: Any, classes: ClassTable, long_side: int) -> None:
    """Write ``path``."""
    header = {
        "format": FORMAT,
        "kind": student.kind,
        **student.describe(),
        "classes": list(classes.names),
        "background": classes.background,
        "colours": classes.colours,
        "long_side": long_side,
    }
    state = {key: value.detach().cpu().contiguous() for key, value in student.state_dict().items()}
    write_bytes(path, save(state, {"student": json.dumps(header)}))


def read_student(path: Path) -> StudentFile:
    """Build the student of ``path``, in evaluation mode. Nothing in the file is executed.

    The internet and other files are never used.

    Raises:
        WeightsError: the file is damaged or not a student, or its weights are not finite or do not fit its settings.
    """
    try:
        state, metadata = read_tensors(path, MAX_BYTES)
        header = StudentHeader.parse(parse_json(metadata.get("student", "{}")))
        if header.kind not in REBUILD:
            raise ValueError(f"kind: expected {' or '.join(REBUILD)}, got {header.kind[:40]!r}")
        student = _rebuilt(header, state)
        return StudentFile(student, header.classes, header.long_side)
    except (OSError, ValueError, RuntimeError, MemoryError, ConfigError) as error:
        reason = getattr(error, "strerror", None) or one_line(error, 200)
        raise WeightsError(
            f"{path} is not a usable student ({reason}); name the student.safetensors of a training"
        ) from error


def _rebuilt(header: StudentHeader, state: Mapping[str, Tensor]) -> Any:
    """Build the network and load its weights.

    Raises:
        ValueError: settings and weights do not fit.
        ConfigError: a package is missing.
    """
    build = REBUILD[header.kind]
    try:
        with torch.random.fork_rng(devices=[]):
            with torch.device("meta"):  # takes no memory, until the file is known to hold all weights
                wanted = build(header).state_dict()
            check_shapes(state, {name: tuple(value.shape) for name, value in wanted.items()})
            check_finite(state)
            student = build(header)
        student.load_state_dict(state)
        student.eval()
        with torch.no_grad():  # some settings make a network that fails only when it runs
            seen = student.segment(torch.zeros(1, 3, _TRIAL, _TRIAL))
    except ConfigError:
        raise
    except Exception as error:  # a network raises any exception for wrong settings
        raise ValueError(one_line(error, 200)) from error
    if tuple(seen.shape) != (1, len(header.classes.names), _TRIAL, _TRIAL):
        raise ValueError(f"its network gives {tuple(seen.shape)[1:]} for an image of {_TRIAL} pixels")
    return student


def _joint(header: StudentHeader) -> Student:
    wss, config = WssConfig(**header.settings["wss"]), StudentConfig(**header.settings["student"])
    return Student(TagClassifier(wss, len(header.classes.foreground)), config, len(header.classes.names))


def _mask2former(header: StudentHeader) -> Any:
    from dhr.models.student.mask2former_build import rebuild_mask2former

    return rebuild_mask2former(
        header.settings["network"], header.mean, header.std, len(header.classes.names), header.classes.background
    )


REBUILD: Mapping[str, Callable[[StudentHeader], Any]] = {"joint": _joint, "mask2former": _mask2former}
"""By kind: builds a student with random weights from a header."""
