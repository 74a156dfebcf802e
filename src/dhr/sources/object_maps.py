"""Objects of other programs as maps: all files are checked before any mask is made, and then read one by one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.classes import enumeration
from dhr.data.listing import key_of
from dhr.data.objects.labels import Labels
from dhr.data.objects.paint import paint, present
from dhr.data.objects.record import ObjectFolder, Objects
from dhr.data.outlines import Size
from dhr.data.problems import summary
from dhr.data.samples import ClassTable, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.progress import Progress, Step
from dhr.sources.map_files import Sizes
from dhr.sources.protocol import Checked
from dhr.words import counted, printable

_LOOK = 128  # longer side of the maps that are only checked
_NAMED = 3


@dataclass(frozen=True)
class ObjectMaps:
    """A folder of objects, and the classes that their labels mean."""

    folder: Path
    objects: ObjectFolder
    classes: ClassTable
    labels: Labels
    sizes: Sizes = field(default_factory=dict)
    """Of the photographs; empty before the check."""

    def read(self, sample: Sample, canvas: Size) -> Float[Tensor, "1 k h w"]:
        """Paint the maps of the photograph's tags, of height and width ``canvas``.

        Raises:
            ItemError: the folder does not name the photograph, or an object cannot be used.
        """
        objects = self.objects.read(sample.name)
        ids = self._ids(objects)
        maps = paint(objects, ids, sample.tags, self.sizes.get(sample.name, canvas), canvas)
        return torch.from_numpy(maps).unsqueeze(0)

    def check(self, samples: Sequence[Sample], sizes: Sizes, progress: Progress) -> tuple["ObjectMaps", Checked]:
        """Read the objects of all photographs once, and leave out photographs whose objects cannot be used.

        A photograph without an object of its tags stays: the program found nothing there.

        Raises:
            DataError: all are unusable, or no object has the name of a tag.
        """
        look, problems = _Look(self.classes), dict[str, Problem]()
        tagged = [sample for sample in samples if sample.tags]
        for done, sample in enumerate(tagged, start=1):
            try:
                objects, size = self.objects.read(sample.name), sizes[sample.name]
                ids = self._ids(objects)
                scale = min(1.0, _LOOK / max(size))
                paint(objects, ids, sample.tags, size, (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))
                look.add(sample, objects, ids)
            except ItemError as error:
                problems[sample.name] = Problem(sample.source, str(error))
            progress(Step("maps", done, len(tagged)))
        if len(problems) == len(tagged) > 0:
            reasons = summary([*problems.values()], _NAMED)
            raise DataError(f"--wss.maps {self.folder}: the objects of no photograph can be used; {reasons}")
        look.refuse_nothing(self.folder)
        usable = tuple(sample for sample in samples if sample.name not in problems)
        known = {key_of(sample.name) for sample in samples}
        strays = self.objects.strays(known)
        return replace(self, sizes=sizes), Checked(usable, tuple(problems.values()), look.notes(strays))

    def _ids(self, objects: Objects) -> list[int | None]:
        return [self.labels.find(one.label) for one in objects.found]


class _Look:
    """Counts what the check finds."""

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        self._photographs = 0
        self._unknown, self._facts = Counter[str](), Counter[str]()
        self._lacking: dict[str, list[str]] = {}
        self._nothing: list[str] = []

    def add(self, sample: Sample, objects: Objects, ids: Sequence[int | None]) -> None:
        """Count the objects of a photograph."""
        self._photographs += 1
        there = present(objects.found, ids)
        for one, label in zip(objects.found, ids, strict=True):
            if label is None and not Labels.ignored(one.label):
                self._unknown[one.label] += 1
        self._facts.update(objects.notes)
        lacking = [self._classes.names[tag] for tag in sample.tags if tag not in there]
        if len(lacking) == len(sample.tags):
            self._nothing.append(sample.source)
        elif lacking:
            self._lacking[sample.source] = lacking

    def refuse_nothing(self, folder: Path) -> None:
        """Raise DataError if no photograph has an object of its tags."""
        if len(self._nothing) == self._photographs > 0:
            labels = enumeration(map(printable, [label for label, _ in self._unknown.most_common(_NAMED)]))
            found = f"its labels are {labels}" if labels else "it holds no objects of them"
            raise DataError(
                f"--wss.maps {folder}: no object has the name of a tag of its photograph; {found}; if they mean "
                "classes, give these names: --wss.words '{CLASS: LABEL}'"
            )

    def notes(self, strays: Sequence[str]) -> tuple[str, ...]:
        """Return facts on the files, one sentence each."""
        notes = []
        if self._unknown:
            named = ", ".join(f"{label!r} ({count})" for label, count in self._unknown.most_common(5))
            more = f" and {len(self._unknown) - 5} more labels" if len(self._unknown) > 5 else ""
            notes.append(
                f"{counted(self._unknown.total(), 'object')} with labels that are no class are ignored: {named}{more}; "
                "if they mean classes, give the names in wss.words."
            )
        if self._lacking:
            first = [f"{source} ({', '.join(names)})" for source, names in [*self._lacking.items()][:_NAMED]]
            many = counted(len(self._lacking), "photograph")
            notes.append(f"{many} without an object of some of the tags: {', '.join(first)}.")
        if self._nothing:
            many = counted(len(self._nothing), "photograph")
            named = enumeration(self._nothing, most=_NAMED, quoted=False)
            notes.append(f"{many} without an object of any tag, where features alone decide: {named}.")
        notes += [f"{counted(count, 'photograph')}: {fact}." for fact, count in self._facts.items()]
        if strays:
            named = enumeration(map(printable, strays), most=_NAMED)
            notes.append(
                f"{counted(len(strays), 'entry', 'entries')} of objects without a photograph in this run: {named}."
            )
        return tuple(notes)
