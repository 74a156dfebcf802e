"""Label Studio's exports (JSON, JSON-MIN, and tasks with predictions): tags and ground truth."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dhr.data.annotated import Annotated, Annotation, Thing, annotated_data
from dhr.data.classes import class_file, enumeration, read_text
from dhr.data.images import SUFFIXES
from dhr.data.json_text import members
from dhr.data.label_studio_image import ImageFinder
from dhr.data.label_studio_min import Choices, Row, parse_row, plain_choices
from dhr.data.label_studio_results import read_results
from dhr.data.listing import list_files
from dhr.data.names import Names
from dhr.data.places import first_folder, head_of
from dhr.data.stored import Draft, Reader, StoredDataSet
from dhr.errors import DataError
from dhr.progress import Progress, silent
from dhr.words import printable

_TASKS = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*\{")
_TASK = re.compile(rb'"(annotations|completions|predictions|data|annotator|image|original_width)"\s*:')
_MALFORMED = "expected annotations as Label Studio writes them; export it again"


def label_studio_files(root: Path) -> list[Path]:
    """Return the exports: JSON lists of tasks. One export may have several files."""
    found = []
    for path in sorted(root.glob("*.json")):
        if path.is_file() and _TASKS.match(head := head_of(path)) and _TASK.search(head):
            found.append(path)
    return found


def read_label_studio(draft: Draft) -> StoredDataSet:
    """Read exports (JSON or JSON-MIN) with their photographs in ``images/`` or beside them.

    Classes are those of ``classes.txt``, else the background and then all labels of the export in the order of the
    alphabet. Photographs are found by name; nothing is downloaded. Cancelled annotations do not count, several
    annotators must agree, and predictions count only if the whole export has no annotation. Polygons, brushes,
    ellipses and bitmasks are ground truth; boxes, points, lines and choices only tag.
    """
    root = draft.root
    files = label_studio_files(root)
    if not files:
        raise DataError(f"{root}: expected a JSON export of Label Studio in it, a list of tasks; found none")
    images = first_folder(root, "images", "upload") or root
    tasks = read_tasks(files, Names(list_files(images, SUFFIXES).files, uploads=True), draft.progress)
    own = class_file(root)
    annotations, notes = tasks.finished(None if own is None else own.names)
    return annotated_data(draft, images, Annotated(files[0], annotations, None, notes, uploads=True))


def read_tasks(files: Sequence[Path], names: Names, progress: Progress = silent) -> "Tasks":
    """Read the tasks of all files; ``names`` are the existing photographs, found by names of uploads, too.

    Raises DataError if a file cannot be read, or is not JSON.
    """
    tasks = Tasks(ImageFinder(names))
    for path in files:
        for key, line, task in members(path, read_text(path), progress):
            if not key:
                tasks.task(path, line, task)
    return tasks


class Tasks:
    """Takes tasks apart, one at a time; some decisions need all of them."""

    def __init__(self, find: ImageFinder) -> None:
        self._find = find
        self._seen: list[Annotation] = []
        self._predicted: list[Annotation] = []
        self._rows: list[tuple[Annotation, Row]] = []
        """Annotations, and rows whose texts may be choices."""
        self._looked_at = False
        """Whether somebody annotated anything."""
        self._attributes: Counter[str] = Counter()
        self._others: Counter[str] = Counter()

    def task(self, path: Path, line: int, task: Any) -> None:
        """Read a task of JSON, or a row of JSON-MIN."""
        place = f"line {line}"
        if not isinstance(task, dict):
            self._seen.append(Annotation("", path, place, wrong="expected a task, an object; correct it"))
            return
        place += f", task {_id(task['id'])}" if "id" in task else ""
        blank = Annotation("", path, place)
        if isinstance(task.get("data"), dict):
            self._task(blank, task)
        else:
            self._row(blank, task)

    @property
    def predicted(self) -> int:
        """Number of predictions of tasks that nobody has annotated."""
        return len(self._predicted)

    def finished(self, classes: tuple[str, ...] | None) -> tuple[list[Annotation], tuple[str, ...]]:
        """Return all annotations and notes; predictions count if there is no annotation.

        ``classes`` are those of ``classes.txt``.
        """
        found, told = self.annotated(classes)
        if self._looked_at or self._rows:
            wrong = "there is no annotation, only predictions; accept or correct them in Label Studio"
            return [*found, *(replace(one, things=(), unread=None, wrong=wrong) for one in self._predicted)], told
        if not self._predicted:
            return found, told
        noted = "there are predictions and no annotations, so the predictions count"
        return [*found, *self._predicted], (*told, noted)

    def annotated(self, classes: tuple[str, ...] | None) -> tuple[list[Annotation], tuple[str, ...]]:
        """Return the annotations of persons, and notes; ``classes`` are all that there can be, if known."""
        rows = [row for _, row in self._rows]
        labelled = any(one.things for one in self._seen) or any(one.things for one, _ in self._rows)
        choices = plain_choices(rows, labelled, classes)
        found = [*self._seen, *(_with_choices(one, row, choices) for one, row in self._rows)]
        notes = list(choices.notes)
        if classes is None and any(one.region for each in found for one in each.things):
            beside = sorted({one.control for each in found for one in each.things if one.control is not None})
            if beside:
                notes.append(
                    f"choices count as classes beside the labels of regions: those of {enumeration(beside, most=4)}; "
                    "if they tell something else, write classes.txt without them"
                )
        if self._attributes:
            notes.append(f"choices of regions are attributes and do not count: {_counted(self._attributes)}")
        if self._others:
            notes.append(f"results other than labels do not count: {_counted(self._others)}")
        return found, tuple(notes)

    def _task(self, blank: Annotation, task: dict[str, Any]) -> None:
        given = task["annotations"] if "annotations" in task else task.get("completions")
        self._looked_at = self._looked_at or bool(given)
        if given or not task.get("predictions"):
            self._seen += self._all(blank, task["data"], given or [], "annotation", bool(task.get("drafts")))
        else:
            self._predicted += self._all(blank, task["data"], task["predictions"], "prediction", False)

    def _all(
        self, blank: Annotation, data: dict[str, Any], given: Any, what: str, drafts: bool
    ) -> Iterator[Annotation]:
        """Return each annotation of a task, for each of its images if none is meant."""
        try:
            sound = [one for one in given if not one.get("was_cancelled") and not one.get("skipped")]
            objects = {str(result["to_name"]) for one in sound for result in one["result"] or () if "to_name" in result}
        except (KeyError, TypeError, AttributeError):
            sound, objects = None, set[str]()
        images, wrong = self._find(data, objects)
        if sound is None:
            wrong = wrong or _MALFORMED
        elif not sound:
            state = "all annotations are cancelled" if given else "there is no annotation"
            remedy = "submit the draft" if drafts else "annotate it, or remove it from the export"
            wrong = wrong or f"{state}; {remedy}"
        if wrong or sound is None:
            undone = sound == [] and not drafts
            yield from (replace(blank, image=image, wrong=wrong, undone=undone) for image in images or [""])
            return
        for number, one in enumerate(sound, start=1):
            place = f"{blank.place}, {what} {_id(one.get('id', number))}"
            yield self._annotation(replace(blank, image=images[0], place=place), one)

    def _annotation(self, blank: Annotation, one: dict[str, Any]) -> Annotation:
        try:
            results = read_results(one["result"], f"{blank.source} {blank.place}")
        except (KeyError, TypeError, AttributeError, ValueError):
            return replace(blank, wrong=_MALFORMED)
        self._attributes += results.attributes
        self._others += results.others
        chosen = one.get("ground_truth") is True
        return replace(blank, things=results.things, unread=results.unread, chosen=chosen)

    def _row(self, blank: Annotation, row: dict[str, Any]) -> None:
        number = row.get("annotation_id")
        place = blank.place + ("" if number is None else f", annotation {_id(number)}")
        images, wrong = self._find(row, ())
        if wrong:
            self._seen += [replace(blank, image=image, place=place, wrong=wrong) for image in images or [""]]
            return
        apart = parse_row(row)
        one = self._annotation(replace(blank, image=images[0], place=place), {"result": apart.results})
        self._rows.append((one, replace(apart, results=[], annotated=bool(apart.results) or number is not None)))


def _with_choices(one: Annotation, row: Row, choices: Choices) -> Annotation:
    """Add the choices that a row of JSON-MIN holds as texts."""
    chosen = [
        Thing(row.texts[name], f"the choice of {name!r}", control=name) for name in choices.names if row.texts.get(name)
    ]
    nothing = None if row.annotated or chosen else "there is no annotation; annotate it, or remove it from the export"
    wrong = one.wrong or choices.wrong or nothing
    undone = wrong is not None and wrong == nothing
    return replace(one, things=(*one.things, *chosen), wrong=wrong, undone=undone)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name[:60]!r} {count}" for name, count in sorted(counts.items())[:6])


def _id(value: Any) -> str:
    return printable(str(value))[:40]


LABEL_STUDIO = Reader("a JSON file of tasks", lambda root: bool(label_studio_files(root)), read_label_studio)
