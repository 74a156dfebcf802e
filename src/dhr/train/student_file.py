"""A student in one file: weights, and all that it takes to build the network and to name its classes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier

FORMAT = "dhr student 1"


@dataclass(frozen=True)
class StudentFile:
    """What a file of a student holds."""

    student: Any
    """A :class:`~dhr.models.student.StudentModel`."""
    classes: ClassTable
    long_side: int
    """The size of photographs that it was trained on, see :class:`~dhr.data.transforms.ImageConfig`."""


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
    """Build the student that ``path`` holds, in evaluation mode. Nothing in the file is executed.

    Raises:
        WeightsError: it cannot be read, is no student, or its weights are no numbers or do not fit its settings.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {}).get("student", "{}"))
            if header.get("format") != FORMAT:
                raise ValueError(f"its format is {header.get('format')!r}, expected {FORMAT!r}")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        lost = [key for key, value in state.items() if not bool(value.isfinite().all())]
        if lost:
            raise ValueError(f"{lost[0]} holds NaN or infinity")
        colours = header.get("colours")
        classes = ClassTable(
            tuple(header["classes"]),
            bool(header["background"]),
            colours=None if colours is None else tuple((int(r), int(g), int(b)) for r, g, b in colours),
        )
        with torch.random.fork_rng(devices=[]):
            student = REBUILD[header.get("kind", "joint")](header, classes)
        student.load_state_dict(state)
        return StudentFile(student.eval(), classes, int(header["long_side"]))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, ConfigError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{path} is no student that can be used ({reason}); name the student.safetensors of a training"
        ) from error


def _joint(header: Mapping[str, Any], classes: ClassTable) -> Student:
    wss, config = WssConfig(**_tuples(header["wss"])), StudentConfig(**_tuples(header["student"]))
    return Student(TagClassifier(wss, len(classes.foreground)), config, len(classes.names))


def _mask2former(header: Mapping[str, Any], classes: ClassTable) -> Any:
    from dhr.models.student.mask2former_build import rebuild_mask2former

    return rebuild_mask2former(header, len(classes.names), classes.background)


REBUILD: Mapping[str, Callable[[Mapping[str, Any], ClassTable], Any]] = {"joint": _joint, "mask2former": _mask2former}
"""By kind: a student with random weights, of what its file tells."""


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where settings have tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
