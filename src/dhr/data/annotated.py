"""Data sets of annotation tools: tags and ground truth from the annotations of each photograph.

A reader turns its file into :class:`Annotation` records. Everything that all tools have in common is here: photographs
are found by name, annotators must agree, things that are not read are reported, and outlines become ground truth.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dhr.data.background import is_background
from dhr.data.class_names import class_of, table_of
from dhr.data.classes import class_file, enumeration
from dhr.data.folder import read_split
from dhr.data.ground_truth import GroundTruth, NoGroundTruth
from dhr.data.images import SUFFIXES
from dhr.data.listing import list_files, name_of
from dhr.data.names import Entry, Names
from dhr.data.numbering import MatchedMask, named_masks
from dhr.data.outlines import Outline, Size
from dhr.data.painted import PaintedGroundTruth, PaintedObject, painted
from dhr.data.problems import problem_lines
from dhr.data.samples import ClassTable, Problem, Tagged
from dhr.data.stored import Draft, Found, StoredDataSet
from dhr.data.tags import TagReader
from dhr.errors import DataError
from dhr.words import counted

_BARE = "has no outline"


@dataclass(frozen=True)
class Thing:
    """A label that an annotator gave to a photograph, or to a region of it."""

    label: str
    kind: str
    """Its kind in words, for messages: ``a box``, ``the choice of 'kind'``."""
    outline: Outline | None = None
    missing: str | None = None
    """Why a region has no outline that can be painted."""
    drawn: Size | None = None
    """Height and width of the picture that it was drawn on."""
    layer: int = 0
    """Things of a higher layer lie on those of a lower one."""
    control: str | None = None
    """For a choice: its control. Choices are attributes if ``classes.txt`` has no choice of the control."""
    region: bool = False
    """Whether it covers a part of the photograph."""
    by_program: bool = False
    """Whether the file says that a program made it, and that no person changed it."""


@dataclass(frozen=True)
class Annotation:
    """The content of one annotator's annotation of a photograph."""

    image: str
    """The photograph, as the file names it."""
    source: Path
    """The file."""
    place: str
    """Its place in the file, for messages."""
    things: tuple[Thing, ...] = ()
    unread: str | None = None
    """Content that the reader does not support."""
    wrong: str | None = None
    """Why it cannot be used."""
    chosen: bool = False
    """Whether somebody marked it as ground truth."""
    undone: bool = False
    """Whether nobody has annotated the photograph, or somebody skipped it; ``wrong`` says so."""

    @property
    def where(self) -> str:
        """Return the file and the place in it."""
        return f"{self.source} {self.place}"


@dataclass(frozen=True)
class Annotated:
    """The content of a tool's files."""

    source: Path
    """The file, or the first of several."""
    annotations: Sequence[Annotation]
    labels: Sequence[str] | None = None
    """The classes in their order, if the file has them; otherwise those in use, in the order of the alphabet."""
    notes: tuple[str, ...] = ()
    uploads: bool = False
    """Whether names may bear the prefix of uploads; see :class:`~dhr.data.listing.Names`."""


def annotated_data(draft: Draft, images: Path, given: Annotated) -> StoredDataSet:
    """Make a data set of the photographs below ``images`` and their annotations.

    Classes are those of ``classes.txt``, else the background and then the labels. Outlines become ground truth if every
    tag of a photograph has one; otherwise ``truth/NAME.png`` is used if it exists.

    Raises:
        DataError: there is no class, no such split, or no photograph is usable.
    """
    root, split = draft.root, draft.split
    own = class_file(root)
    classes = own or table_of(_labels(given), given.source)
    draft.notes += given.notes
    annotations = given.annotations if own is None else _without_attributes(given.annotations, own, draft.notes)
    listed = list_files(images, SUFFIXES)
    files = [file for file in listed.files if images != root or not file.startswith("truth/")]
    names = Names(files, f"{images.name}/", given.uploads)
    if split is None and images != root:  # the annotations are no photographs
        draft.problems += listed.problems
    wanted = set(files) if split is None else read_split(root, split, names, draft.problems)
    entries = [Entry(one.image, one.where, one, one.wrong) for one in annotations]
    by_file = names.match(given.source, entries, draft.problems if split is None else None)
    things = [one for each in annotations for one in each.things]
    masks = named_masks(draft, classes, {name_of(file, SUFFIXES): None for file in files})
    make = _Maker(given.source, classes, not things or any(one.outline for one in things), masks)
    for file in files:
        if file in wanted:
            clash = names.clash(file)
            reason = f"its mask would overwrite that of {enumeration(clash, most=3)}; rename them" if clash else None
            draft.found.append(make(file, images / file, by_file.get(file, []), reason))
    draft.notes += make.notes
    return draft.finish(classes, f"put the photographs there that {given.source.name} names", images)


def _labels(given: Annotated) -> Sequence[str]:
    """Return the names of the classes; raise DataError with the reason if there are none."""
    used = sorted({class_of(one.label) for each in given.annotations if not each.wrong for one in each.things})
    labels = list(dict.fromkeys(map(class_of, given.labels or used)))
    if all(map(is_background, labels)):
        reasons = [
            Problem(one.image, f"{one.where}: {one.wrong or f'{one.unread} is not read'}")
            for one in given.annotations
            if one.wrong or one.unread
        ]
        why = " | ".join([*problem_lines(reasons, 3), *given.notes]) or "nothing in it is labelled"
        raise DataError(f"{given.source}: no label could be a class: {why}")
    return labels


def _without_attributes(
    annotations: Sequence[Annotation], classes: ClassTable, notes: list[str]
) -> Sequence[Annotation]:
    """Leave out the choices of controls that never name a class: they are attributes.

    If nothing would be left, all stay: the classes are spelt differently, and each photograph reports that.
    """
    known = {name.casefold() for name in classes.names}
    asked: dict[str, set[str]] = defaultdict(set)
    for each in annotations:
        for one in each.things:
            if one.control is not None:
                asked[one.control].add(class_of(one.label))
    attributes = {control: labels for control, labels in asked.items() if known.isdisjoint(map(str.casefold, labels))}
    if all(one.control in attributes for each in annotations for one in each.things):
        return annotations
    notes += (
        f"the choices of {control!r} name no class of classes.txt and do not count: "
        f"{enumeration(sorted(labels), most=3)}"
        for control, labels in sorted(attributes.items())
    )
    return [
        replace(each, things=tuple(one for one in each.things if one.control not in attributes)) for each in annotations
    ]


@dataclass
class _Maker:
    """Makes records of photographs."""

    source: Path
    classes: ClassTable
    outlined: bool
    """Whether these files have outlines; if so, an annotation without things is all background."""
    masks: Mapping[str, MatchedMask]
    """Ground truth of photographs without outlines."""
    several: int = 0
    """Photographs that several annotators outlined."""

    def __post_init__(self) -> None:
        self._bare = {0} if self.classes.background else set[int]()
        self._read, self._reasons = TagReader(self.classes), dict[frozenset[str], str | None]()

    @property
    def notes(self) -> list[str]:
        """Return decisions about all photographs."""
        found = [f"{self.source}: {note}" for note in self._read.notes]
        if self.several:
            found.append(
                f"{counted(self.several, 'photograph')} outlined by several annotators: the marked or first one counts"
            )
        return found

    def __call__(self, file: str, path: Path, annotations: list[Annotation], reason: str | None) -> Found:
        name = name_of(file, SUFFIXES)
        if not annotations:
            reason = reason or f"nothing in {self.source.name} names it; annotate it, or remove it"
        reason = reason or self._refusal(annotations)
        if reason is not None:
            return Found(name, path, Tagged(reason=reason))
        unread = next((f"{one.where}: {one.unread}" for one in annotations if one.unread), None)
        tags = self._tags(annotations[0])
        if unread and not tags:  # ignoring it must not make the photograph a negative
            reason = f"{unread} is not read, and nothing else is annotated; annotate it in another way, or remove it"
            return Found(name, path, Tagged(reason=reason))
        mask: GroundTruth | None = self._ground_truth(path, annotations)
        if not isinstance(mask, PaintedGroundTruth):
            mask = self.masks.get(name, mask)
        return Found(name, path, Tagged(tuple(tags), unread=unread), mask)

    def _refusal(self, annotations: list[Annotation]) -> str | None:
        first = annotations[0]
        for one in annotations:
            if reason := one.wrong or self._unknown_tags(one):
                return f"{one.where}: {reason}"
            if self._tags(one) != self._tags(first):
                names = [[self.classes.names[tag] for tag in sorted(self._tags(each))] for each in (first, one)]
                said = " and ".join(enumeration(some, most=3) or "nothing" for some in names)
                other = one.place if one.source == first.source else one.where
                return f"{first.where} and {other} give it different tags ({said}); keep one of them"
        return None

    def _unknown_tags(self, one: Annotation) -> str | None:
        unknown = frozenset(thing.label for thing in one.things if self._read.id_of(thing.label) is None)
        if not unknown:
            return None
        if unknown not in self._reasons:  # hints on spelling take long
            self._reasons[unknown] = self._read(0, one.image, sorted(unknown)).reason
        return self._reasons[unknown]

    def _tags(self, one: Annotation) -> set[int]:
        found = {label for thing in one.things if (label := self._read.id_of(thing.label)) is not None}
        return found - self._bare

    def _ground_truth(self, path: Path, annotations: list[Annotation]) -> PaintedGroundTruth | NoGroundTruth | None:
        """Return the ground truth of the first annotation with all outlines; None if nothing could be drawn."""
        if not self.outlined and not any(thing.region for one in annotations for thing in one.things):
            return None
        made = [self._painted(path, one) for one in sorted(annotations, key=lambda one: not one.chosen)]
        whole = [one for one in made if isinstance(one, PaintedGroundTruth)]
        if len(whole) > 1 and any(one.objects for one in whole):
            self.several += 1
        return whole[0] if whole else made[0]

    def _painted(self, path: Path, one: Annotation) -> PaintedGroundTruth | NoGroundTruth:
        if one.unread:
            return NoGroundTruth(f"{one.where}: {one.unread} is not read")
        drawn = {class_of(thing.label) for thing in one.things if thing.outline}
        objects = [
            PaintedObject(
                self._read.id_of(thing.label) or 0,
                () if thing.outline is None else (thing.outline,),
                one.place,
                thing.drawn,
                f"{thing.kind} {thing.label!r} {thing.missing or _BARE}" if thing.outline is None else None,
                thing.layer,
            )
            for thing in one.things
            if thing.outline or thing.region or class_of(thing.label) not in drawn
        ]
        return painted(one.source, path, objects, self.classes)
