"""`wss.kind student`, and the second masks of a run: a student's probabilities, or its CAMs (`student.maps`)."""

from pathlib import Path

from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, WeightsError
from dhr.models.config import HUB, NONE
from dhr.models.student.network import Student
from dhr.sources.network import NetworkSource, placed
from dhr.sources.protocol import Given


class StudentSource(NetworkSource):
    """A student that was trained on masks; without ``student``, the one in the file `wss.weights`."""

    further = ("probabilities",)

    def __init__(self, given: Given, student: Student | None = None) -> None:
        super().__init__(given)
        student = student or _read(given.settings.wss.weights, given.classes)
        self.network = placed(student, given.device)


def _read(weights: str, classes: ClassTable) -> Student:
    """Read the student in the file ``weights``.

    Raises:
        ConfigError: the file is not named.
        WeightsError: it does not hold a student with maps, or holds one for other classes.
    """
    from dhr.train.student_file import read_student

    if weights in (HUB, NONE):
        raise ConfigError(f"wss.kind student needs a student.safetensors: --wss.weights FILE; got {weights!r}")
    found = read_student(Path(weights))
    if found.student.kind != "joint":
        raise WeightsError(f"--wss.weights: {weights} is a {found.student.kind}, which has no maps of tags")
    if (found.classes.names, found.classes.background) != (classes.names, classes.background):
        theirs, ours = (", ".join(one.names[:4]) for one in (found.classes, classes))
        raise WeightsError(f"--wss.weights: {weights} was trained for the classes {theirs}; the data set has {ours}")
    student: Student = found.student
    return student
