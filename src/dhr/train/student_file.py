"""A student in one file: weights, and all that it takes to build the network and to name its classes."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, WeightsError
from dhr.files import write_bytes
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.weights import NONE
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier

FORMAT = "dhr student 1"


@dataclass(frozen=True)
class StudentFile:
    """What a file of a student holds."""

    student: Student
    classes: ClassTable
    long_side: int
    """The size of photographs that it was trained on, see :class:`~dhr.data.transforms.ImageConfig`."""


def write_student(path: Path, student: Student, wss: WssConfig, classes: ClassTable, long_side: int) -> None:
    """Write ``path``; the encoder's mean and standard deviation are written as they are used."""
    mean, std = (tuple(value.flatten().tolist()) for value in (student.tagger.mean, student.tagger.std))
    header = {
        "format": FORMAT,
        "wss": asdict(replace(wss, mean=mean, std=std, weights=NONE)),
        "student": asdict(student.config),
        "classes": list(classes.names),
        "background": classes.background,
        "long_side": long_side,
    }
    state = {key: value.detach().cpu().contiguous() for key, value in student.state_dict().items()}
    write_bytes(path, save(state, {"student": json.dumps(header)}))


def read_student(path: Path) -> StudentFile:
    """Build the student that ``path`` holds, in evaluation mode. Nothing in the file is executed.

    Raises:
        WeightsError: it cannot be read, is no student, or its weights do not fit its settings.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {}).get("student", "{}"))
            if header.get("format") != FORMAT:
                raise ValueError(f"its format is {header.get('format')!r}, expected {FORMAT!r}")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        classes = ClassTable(tuple(header["classes"]), bool(header["background"]))
        wss, config = WssConfig(**_tuples(header["wss"])), StudentConfig(**_tuples(header["student"]))
        with torch.random.fork_rng(devices=[]):
            student = Student(TagClassifier(wss, len(classes.foreground)), config, len(classes.names))
        student.load_state_dict(state)
        return StudentFile(student.eval(), classes, int(header["long_side"]))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, ConfigError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{path} is no student that can be used ({reason}); name the student.safetensors of a training"
        ) from error


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where settings have tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
