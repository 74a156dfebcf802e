"""What annotation tools write, turned into a data set: tags and ground truth from what each annotator saw.

A reader turns its file into :class:`Annotation` records; all that holds for every tool is done here: photographs are
found by name, annotators must agree, what is not read is named, and outlines become ground truth.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dhr.data.background import is_background
from dhr.data.class_names import class_of, table_of
from dhr.data.classes import enumeration
from dhr.data.folder import class_file, read_split
from dhr.data.ground_truth import GroundTruth, GroundTruthFiles, NoGroundTruth, ground_truth_files
from dhr.data.images import SUFFIXES
from dhr.data.listing import Names, list_files, name_of, printable
from dhr.data.numbering import MatchedMask, Numbering, numbering
from dhr.data.painted import Outline, PaintedGroundTruth, PaintedObject, Size, painted
from dhr.data.problems import problem_lines
from dhr.data.samples import VOID, ClassTable, Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import TagReader
from dhr.errors import DataError

_BARE = "has no outline"


@dataclass(frozen=True)
class Thing:
    """A label that an annotator gave to a photograph, or to a region of it."""

    label: str
    kind: str
    """What it is, for messages: ``a box``, ``the choice of 'kind'``."""
    outline: Outline | None = None
    missing: str | None = None
    """Why a region has no outline that can be painted."""
    drawn: Size | None = None
    """Height and width of the picture that it was drawn on."""
    layer: int = 0
    """Things of a higher layer lie on those of a lower one."""
    control: str | None = None
    """For a choice: what was asked. Choices may be attributes, where ``classes.txt`` knows none of a control."""
    region: bool = False
    """Whether it is of a part of the photograph."""


@dataclass(frozen=True)
class Annotation:
    """All that one annotator saw in a photograph."""

    image: str
    """The photograph, as the file names it."""
    source: Path
    """The file."""
    place: str
    """Where it stands in the file, for messages."""
    things: tuple[Thing, ...] = ()
    unread: str | None = None
    """Something that the reader does not understand."""
    wrong: str | None = None
    """Why it cannot be used."""
    chosen: bool = False
    """Whether somebody marked it as the one to compare with."""

    @property
    def where(self) -> str:
        """The file, and the place in it."""
        return f"{self.source} {self.place}"


@dataclass(frozen=True)
class Annotated:
    """What the files of a tool hold."""

    source: Path
    """The file, or the first of several."""
    annotations: Sequence[Annotation]
    labels: Sequence[str] | None = None
    """The classes in their order, where the file tells them; otherwise those in use, in the order of the alphabet."""
    notes: tuple[str, ...] = ()
    uploads: bool = False
    """Whether names may bear the prefix of uploads; see :class:`~dhr.data.listing.Names`."""


def annotated_data(
    root: Path, split: str | None, images: Path, given: Annotated, ignore_unknown: bool
) -> StoredDataSet:
    """Make a data set of the photographs below ``images`` and what annotators saw in them.

    Classes are those of ``classes.txt``, else the background and then the labels. Outlines become ground truth where
    all that a photograph is tagged with has one; otherwise ``truth/NAME.png`` is taken if it is there.

    Raises:
        DataError: there is no class, no such split, or no photograph is usable.
    """
    own = class_file(root)
    classes = own or table_of(_labels(given), given.source)
    annotations, notes = (given.annotations, []) if own is None else _without_attributes(given.annotations, own)
    listed = list_files(images, SUFFIXES)
    files = [file for file in listed.files if images != root or not file.startswith("truth/")]
    names = Names(files, f"{images.name}/", given.uploads)
    problems = list(listed.problems) if split is None and images != root else []  # the annotations are no photographs
    wanted = None if split is None else read_split(root, split, names, problems)
    by_file = _by_file(given.source, annotations, names, problems if wanted is None else None)
    things = [one for each in annotations for one in each.things]
    truths = ground_truth_files(root / "truth", [name_of(file, SUFFIXES) for file in files])
    numbers = numbering(classes, root / "truth", [(path, None) for path in truths.by_name.values()])
    make = _Maker(given.source, classes, not things or any(one.outline for one in things), truths, numbers)
    found = []
    for file in files:
        if wanted is None or file in wanted:
            clash = names.clash(file)
            reason = f"its mask would overwrite that of {enumeration(clash, most=3)}; rename them" if clash else None
            found.append(make(file, images / file, by_file.get(file, []), reason))
    where = f"{images}" + (f" in split {split!r}" if split is not None else "")
    remedy = f"put the photographs there that {given.source.name} names"
    all_notes = (*given.notes, *notes, *make.notes, *numbers.notes)
    return StoredDataSet(
        where, classes, found, problems, remedy, all_notes, ignore_unknown, stray_ground_truth=truths.stray
    )


def _labels(given: Annotated) -> Sequence[str]:
    """The names of the classes.

    Raises:
        DataError: there is none; it tells why.
    """
    used = sorted({class_of(one.label) for each in given.annotations if not each.wrong for one in each.things})
    labels = list(dict.fromkeys(map(class_of, given.labels or used)))
    if all(map(is_background, labels)):
        reasons = [
            Problem(printable(one.image), f"{one.where}: {one.wrong or f'{one.unread} is not read'}")
            for one in given.annotations
            if one.wrong or one.unread
        ]
        why = " | ".join([*problem_lines(reasons, 3), *given.notes]) or "nothing in it is labelled"
        raise DataError(f"{given.source}: no label could be a class: {why}")
    return labels


def _without_attributes(
    annotations: Sequence[Annotation], classes: ClassTable
) -> tuple[Sequence[Annotation], list[str]]:
    """Leave out choices of controls that no class is ever chosen of: they tell something else.

    Where that would leave nothing, the classes are spelt in another way, which is said of each photograph.
    """
    known = {name.casefold() for name in classes.names}
    asked: dict[str, set[str]] = defaultdict(set)
    for each in annotations:
        for one in each.things:
            if one.control is not None:
                asked[one.control].add(class_of(one.label))
    attributes = {control: labels for control, labels in asked.items() if known.isdisjoint(map(str.casefold, labels))}
    if all(one.control in attributes for each in annotations for one in each.things):
        return annotations, []
    notes = [
        f"the choices of {printable(control)!r} name no class of classes.txt and do not count: "
        f"{enumeration(sorted(labels), most=3)}"
        for control, labels in sorted(attributes.items())
    ]
    kept = [
        replace(each, things=tuple(one for one in each.things if one.control not in attributes)) for each in annotations
    ]
    return kept, notes


def _by_file(
    source: Path, annotations: Sequence[Annotation], names: Names, problems: list[Problem] | None
) -> dict[str, list[Annotation]]:
    """Annotations by photograph; those of none become problems."""
    found: dict[str, list[Annotation]] = defaultdict(list)
    matched = names.find_all([one.image for one in annotations])
    for one, (files, reason) in zip(annotations, matched, strict=True):
        if not one.image:
            reason = one.wrong
        for file in files:
            found[file].append(one)
        if reason and problems is not None:
            problems.append(Problem(printable(one.image) or str(source), f"{one.where}: {reason}"))
    return found


@dataclass
class _Maker:
    """Makes records of photographs."""

    source: Path
    classes: ClassTable
    outlined: bool
    """Whether things are outlined in these files: where nothing is drawn, all is background."""
    masks: GroundTruthFiles
    """Ground truth of photographs that are not outlined."""
    numbering: Numbering
    """Of these masks."""
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._bare = {0} if self.classes.background else set[int]()
        self._read, self._reasons = TagReader(self.classes), dict[frozenset[str], str | None]()

    @property
    def notes(self) -> list[str]:
        """What was decided."""
        count = self.counts["several"]
        several = f"several annotators outlined each of {count} photographs; the marked or first annotation is used"
        return [*([several] if count else []), *(f"{self.source}: {note}" for note in self._read.notes)]

    def __call__(self, file: str, path: Path, annotations: list[Annotation], reason: str | None) -> Found:
        name = name_of(file, SUFFIXES)
        if not annotations:
            reason = reason or f"nothing in {self.source.name} names it; annotate it, or remove it"
        reason = reason or self._refusal(annotations)
        if reason is not None:
            return Found(name, str(path), path, (), None, reason)
        unread = next((f"{one.where}: {one.unread}" for one in annotations if one.unread), None)
        tags = self._tags(annotations[0])
        if unread and not tags:  # whoever passes over it may not take the photograph for one without any class
            reason = f"{unread} is not read, and nothing else is annotated; annotate it in another way, or remove it"
            return Found(name, str(path), path, (), None, reason)
        truth: GroundTruth | None = self._truth(path, annotations)
        if not isinstance(truth, PaintedGroundTruth) and (mask := self.masks.by_name.get(name)):
            truth = MatchedMask(mask, self.numbering)
        return Found(name, str(path), path, tuple(sorted(tags)), truth, None, unread)

    def _refusal(self, annotations: list[Annotation]) -> str | None:
        first = annotations[0]
        for one in annotations:
            if reason := one.wrong or self._unknown_tags(one):
                return f"{one.where}: {reason}"
            if self._tags(one) != self._tags(first):
                said = " and ".join(self._named(self._tags(each)) for each in (first, one))
                other = one.place if one.source == first.source else one.where
                return f"{first.where} and {other} give it different tags ({said}); keep one of them"
        return None

    def _unknown_tags(self, one: Annotation) -> str | None:
        unknown = frozenset(thing.label for thing in one.things if self._id(thing.label) is None)
        if not unknown:
            return None
        if unknown not in self._reasons:  # hints on spelling take long
            self._reasons[unknown] = self._read(0, one.image, sorted(unknown)).reason
        return self._reasons[unknown]

    def _tags(self, one: Annotation) -> set[int]:
        found = {label for thing in one.things if (label := self._id(thing.label)) is not None}
        return found - self._bare

    def _named(self, tags: set[int]) -> str:
        return enumeration([self.classes.names[tag] for tag in sorted(tags)], most=3) or "nothing"

    def _id(self, label: str) -> int | None:
        return self._read.id_of(label)

    def _truth(self, path: Path, annotations: list[Annotation]) -> PaintedGroundTruth | NoGroundTruth | None:
        """The ground truth of the first annotation that is drawn as a whole; None where nothing could be drawn."""
        if not self.outlined and not any(thing.region for one in annotations for thing in one.things):
            return None
        made = [self._painted(path, one) for one in sorted(annotations, key=lambda one: not one.chosen)]
        whole = [one for one in made if isinstance(one, PaintedGroundTruth)]
        if len(whole) > 1 and any(one.objects for one in whole):
            self.counts["several"] += 1
        return whole[0] if whole else made[0]

    def _painted(self, path: Path, one: Annotation) -> PaintedGroundTruth | NoGroundTruth:
        if one.unread:
            return NoGroundTruth(f"{one.where}: {one.unread} is not read")
        drawn = {class_of(thing.label) for thing in one.things if thing.outline}
        objects = [
            PaintedObject(
                self._id(thing.label) or 0,
                () if thing.outline is None else (thing.outline,),
                one.place,
                thing.drawn,
                f"{thing.kind} {thing.label!r} {thing.missing or _BARE}" if thing.outline is None else None,
                thing.layer,
            )
            for thing in one.things
            if thing.outline or thing.region or class_of(thing.label) not in drawn
        ]
        return painted(one.source, path, objects, 0 if self.classes.background else VOID)
