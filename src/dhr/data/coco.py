"""COCO 2014 and 2017, and other annotations in COCO's format: tags and ground truth from the objects."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dhr.data.background import BACKGROUND, is_background
from dhr.data.benchmarks import benchmark
from dhr.data.class_names import class_ids, class_of
from dhr.data.class_record import read_record, recorded_table
from dhr.data.classes import enumeration
from dhr.data.coco_content import CocoContent, Image, read_coco_content
from dhr.data.coco_files import CocoFile, coco_files
from dhr.data.coco_objects import Identity
from dhr.data.images import SUFFIXES
from dhr.data.listing import list_files, name_of
from dhr.data.names import Names
from dhr.data.painted import PaintedObject, painted
from dhr.data.places import no_split
from dhr.data.samples import VOID, ClassTable, Problem, Tagged
from dhr.data.stored import Draft, Found, Reader, StoredDataSet
from dhr.errors import DataError
from dhr.words import printable


def read_coco(draft: Draft) -> StoredDataSet:
    """Read COCO's instances: class 0 is the background, the categories follow in the order of their ids, without gaps.

    An annotation file is read one object at a time; outlines are kept as arrays. Objects without outline tag as well.
    Crowds tag, and are void in the ground truth if the file has other objects of their class. A class with crowds
    alone was exported from brush strokes, so its crowds are objects.
    """
    chosen = _chosen(draft.root, draft.split)
    contents = [(file, read_coco_content(file.path, draft.progress)) for file in chosen]
    if contents[0][1].record is None:
        contents[0][1].record = read_record(draft.root)
    classes = _table([content for _, content in contents], draft.notes)
    by_path: dict[str, list[Found]] = defaultdict(list)
    for file, content in contents:
        draft.problems += content.problems
        for one in _Photographs(file, content, classes, draft).found():
            by_path[str(one.image)].append(one)
    several = ", ".join(file.path.name for file in chosen)
    twice = Tagged(reason=f"several of {several} name it; open one split at a time")
    for same in by_path.values():
        draft.found.append(same[0] if len(same) == 1 else replace(same[0], tagged=twice))
    return draft.finish(classes, "there is no image in the annotations")


def _chosen(root: Path, split: str | None) -> list[CocoFile]:
    files = coco_files(root)
    if not files:
        raise DataError(
            f"{root}: expected annotations/instances_SPLIT.json, SPLIT/_annotations.coco.json or another JSON file of "
            "COCO's format; found none"
        )
    if split is not None and split not in files:
        years = [name for name in files if name.startswith(split)]
        if len(years) != 1:
            raise no_split(root, split, list(files))
        split = years[0]
    chosen = [files[split]] if split is not None else list(files.values())
    for file in chosen:
        if file.images is None:
            raise DataError(f"{file.path}: expected its photographs in {root / 'images'}, found none; put them there")
    return chosen


def _table(contents: Sequence[CocoContent], notes: list[str]) -> ClassTable:
    """Make the class table of all files, which must agree by name; its order is that of the first."""
    used = {content.name_of(number) for content in contents for number in content.used()}
    first, *others = contents
    order = _order(first, used, notes)
    for content in others:
        if {content.name_of(one) for one in _order(content, used, [])} != {first.name_of(one) for one in order}:
            raise DataError(
                f"{content.path}: its categories are not those of {first.path.name}; open one split at a time"
            )
    names = [class_of(first.names[one]) for one in order]
    table = recorded_table(first.record, names, first.path)
    order = [order[names.index(name)] for name in table.names if name in names]
    coco = benchmark("coco")
    if coco.categories == (0, *order) and table.names == coco.classes.names:
        return coco.classes
    uppers = [first.uppers.get(one, "") for one in order]
    if all(upper and upper.casefold() not in (BACKGROUND, "none") for upper in uppers):
        table = replace(table, supers=(*([BACKGROUND] if table.background else []), *uppers))
    return table


def _order(content: CocoContent, used: set[str | None], notes: list[str]) -> list[Identity]:
    """Return the categories that are classes, by id: without background, second ones of the same name, and unused
    roots.
    """
    by_name: dict[str, list[Identity]] = defaultdict(list)
    for number in sorted(content.names, key=lambda one: (isinstance(one, str), one if isinstance(one, int) else 0)):
        by_name[class_of(content.names[number])].append(number)
    for name, numbers in by_name.items():
        if len(numbers) > 1:
            notes.append(f"{content.path.name}: {len(numbers)} categories are named {name!r}; they are one class")
    uppers = {name: content.uppers.get(numbers[0], "") for name, numbers in by_name.items()}
    for name in [name for name in by_name if name not in used]:
        others = {uppers[other] for other in by_name if other != name}
        if others == {name} and uppers[name].strip().casefold() in ("", "none", name.casefold()):
            notes.append(
                f"{content.path.name}: the category {name!r} is left out of the classes: it is the "
                "super-category of the others, and has no object"
            )
            del by_name[name]
    return [numbers[0] for name, numbers in by_name.items() if not is_background(name)]


@dataclass(frozen=True)
class _Photographs:
    """Finds the photographs of a file and their objects."""

    file: CocoFile
    content: CocoContent
    classes: ClassTable
    draft: Draft

    def found(self) -> list[Found]:
        images, labels = self.file.images, self._labels()
        assert images is not None
        by_file: dict[str, list[Image]] = defaultdict(list)
        bearers: dict[Identity, dict[str, str]] = defaultdict(dict)  # by id, and by what it means, how that is written
        names = Names(list_files(images, SUFFIXES).files, f"{images.name}/")
        matched = names.find_all([one.file for one in self.content.images])
        for one, (files, reason) in zip(self.content.images, matched, strict=True):
            bearers[one.number].setdefault(files[0] if files else one.file, one.file)
            if len(files) > 1:
                reason = f"several photographs bear this name, {enumeration(files, most=3)}; write its suffix"
            if reason:
                self.draft.problems.append(Problem(one.file, f"{self.content.path} {one.place}: {reason}"))
            else:
                by_file[files[0]].append(one)
        self._note_twice(by_file)
        for number in self._strangers[:20]:
            reason = f"annotations name the image {printable(str(number))[:80]}, which does not exist; remove them"
            self.draft.problems.append(Problem(str(self.content.path), reason))
        crowds = self._crowds(labels)
        shared = {number: list(meant.values()) for number, meant in bearers.items() if len(meant) > 1}
        return [
            self._shared(images / file, file, same, shared) or self._one(images / file, file, same, labels, crowds)
            for file, same in by_file.items()
        ]

    def _shared(self, path: Path, file: str, same: list[Image], shared: dict[Identity, list[str]]) -> Found | None:
        """Leave out a photograph if its id is shared: its objects cannot be known."""
        for image in same:
            if image.number in shared:
                names = enumeration(map(printable, shared[image.number]), most=3)
                reason = f"its id {printable(str(image.number))[:80]} is that of several images, {names}"
                where = f"{self.content.path} {image.place}"
                full = f"{where}: {reason}; give each an id of its own"
                return Found(name_of(file, SUFFIXES), path, Tagged(reason=full))
        return None

    def _labels(self) -> dict[Identity, int]:
        """Return the class id of each category; an unused root has none."""
        known = {number: self.content.name_of(number) or "" for number in self.content.names}
        ids = class_ids(self.classes, known.values())
        return {number: ids[name] for number, name in known.items() if name in ids}

    def _crowds(self, labels: dict[Identity, int]) -> set[Identity]:
        alone = self.content.crowds_alone()
        named = sorted({self.classes.names[labels[one]] for one in alone if one in labels})
        if named:
            self.draft.notes.append(
                f"{self.content.path.name}: all objects of {enumeration(named)} are crowd regions (iscrowd: 1), which "
                "are taken for objects"
            )
        return alone

    def _one(
        self, path: Path, file: str, same: list[Image], labels: dict[Identity, int], crowds_alone: set[Identity]
    ) -> Found:
        tags: set[int] = set()
        objects: list[PaintedObject] = []
        unread = None
        for image in same:
            unread = unread or self.content.unread.get(image.number)
            for one in self.content.objects.get(image.number, []):
                if one.category not in labels:
                    what = f"an object of the category {printable(str(one.category))[:80]}, which does not exist,"
                    unread = unread or f"{self.content.path} {one.painted.place}: {what}"
                    continue
                label = labels[one.category]
                tags.add(label)
                void = one.crowd and one.category not in crowds_alone
                objects.append(_placed(one.painted, VOID if void else label, image))
        if not tags and unread is None and (self.content.homeless or self._strangers):
            unread = f"{self.content.path}: an object whose image is unknown, and which may be in this photograph,"
        for image in same:
            objects += [_placed(one, VOID, image) for one in self.content.void.get(image.number, [])]
        truth = painted(self.content.path, path, objects, self.classes)
        return Found(name_of(file, SUFFIXES), path, Tagged(tuple(tags), unread=unread), truth)

    @cached_property
    def _strangers(self) -> list[Identity]:
        """Return images with objects that the file does not list: a photograph without objects may not be empty."""
        known = {one.number for one in self.content.images}
        return [one for one in self.content.objects if one not in known]

    def _note_twice(self, by_file: dict[str, list[Image]]) -> None:
        twice = {file: same for file, same in by_file.items() if len(same) > 1}
        if twice:
            file, same = next(iter(twice.items()))
            ids = " and ".join(printable(str(one.number))[:40] for one in same[:3])
            self.draft.notes.append(
                f"{self.content.path.name}: photographs that occur under several ids: {len(twice)}, such as "
                f"{file!r} ({ids}); their objects are taken together"
            )


def _placed(one: PaintedObject, label: int, image: Image) -> PaintedObject:
    return replace(one, label=label, drawn=one.drawn or image.drawn)


COCO = Reader(
    "annotations/instances_SPLIT.json with images/SPLIT/, or another JSON file of COCO's format",
    lambda root: bool(coco_files(root)),
    read_coco,
    published=True,
)
