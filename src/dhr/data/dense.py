"""Data sets in which every pixel has a class: PASCAL-Context (59), ADE20K (150), COCO-Stuff (171)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dhr.data.benchmarks import benchmark
from dhr.data.classes import enumeration, read_text
from dhr.data.folder import TAG_FILES
from dhr.data.ground_truth import MaskFile, ground_truth_files
from dhr.data.images import SUFFIXES
from dhr.data.labels import Storage
from dhr.data.listing import Names, list_files, name_of
from dhr.data.mask_tags import tags_of_masks
from dhr.data.matching import match_lines
from dhr.data.places import base, chosen_split, first_folder, folders_of, listed_files, no_split
from dhr.data.samples import ClassTable, Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import read_tags
from dhr.errors import DataError
from dhr.progress import Progress

_PNG = frozenset({".png"})


@dataclass(frozen=True)
class Part:
    """A folder of photographs, and that of their masks."""

    images: Path
    masks: Path
    storage: Storage
    note: str
    """Where the class ids stand, for messages."""
    suffix: str = ".png"
    """What follows a photograph's name in that of its mask."""


def assemble(
    root: Path, split: str | None, classes: ClassTable, parts: Sequence[Part], progress: Progress,
    listed: Path | None = None, only_masked: bool = False,
) -> StoredDataSet:  # fmt: skip
    """Photographs of all ``parts``, or those that the list ``listed`` names.

    Tags come from ``tags.csv`` or ``tags.jsonl`` in ``root`` if there is one, else from the masks. ``only_masked``
    passes over photographs without a mask.
    """
    files: list[tuple[Part, str]] = []
    masks: dict[str, MaskFile] = {}
    problems: list[Problem] = []
    stray: list[Problem] = []
    for part in parts:
        listing = list_files(part.images, SUFFIXES)
        problems += listing.problems if listed is None else ()
        matched, more = mask_files(part, [name_of(file, SUFFIXES) for file in listing.files])
        stray += more
        files += [(part, file) for file in listing.files if not only_masked or name_of(file, SUFFIXES) in matched]
        masks |= matched
    names = Names([file for _, file in files], str(root))
    if listed is not None:
        wanted = listed_files(listed, names, problems)
        files = [(part, file) for part, file in files if file in wanted]
    kept = [file for _, file in files]
    notes: list[str] = []
    tags_of = _tags(root, classes, names, kept, masks, progress, problems if split is None else None, notes)
    found = []
    for part, file in files:
        path, (tags, reason), name = part.images / file, tags_of(file), name_of(file, SUFFIXES)
        found.append(Found(name, str(path), path, tags, masks.get(name), reason))
    where = str(root) + ("" if split is None else f" in split {split!r}")
    remedy = "put photographs and masks there"
    return StoredDataSet(where, classes, found, problems, remedy, notes, stray_ground_truth=stray)


def _tags(
    root: Path, classes: ClassTable, names: Names, files: Sequence[str], masks: Mapping[str, MaskFile],
    progress: Progress, problems: list[Problem] | None, notes: list[str],
) -> Callable[[str], tuple[tuple[int, ...], str | None]]:  # fmt: skip
    """What says what is in each file; lines of tags that match none become ``problems`` where that is wanted."""
    path = next((root / name for name in TAG_FILES if (root / name).is_file()), None)
    if path is None:
        by_name = {name: masks[name] for file in files if (name := name_of(file, SUFFIXES)) in masks}
        of_mask = tags_of_masks(by_name, progress)
        return lambda file: of_mask(name_of(file, SUFFIXES))
    matched = match_lines(path, read_tags(path, classes, notes, source=None), names)
    if problems is not None:
        problems += matched.problems
    return matched.tags_of


_TRAIN_IDS = "_labelTrainIds.png"
_OTHER_MASKS = (_TRAIN_IDS, "_instanceTrainIds.png")  # what COCO-Stuff's programs write beside the masks


def mask_files(part: Part, names: Sequence[str]) -> tuple[dict[str, MaskFile], list[Problem]]:
    """The masks of a part by the photographs' names, and files that are the mask of no photograph."""
    end = part.suffix.removesuffix(".png")
    found = ground_truth_files(part.masks, [f"{name}{end}" for name in names])
    masks = {name.removesuffix(end): MaskFile(path, part.storage, part.note) for name, path in found.by_name.items()}
    return masks, [one for one in found.stray if not _of_another_kind(one.source, part.suffix)]


def _of_another_kind(file: str, suffix: str) -> bool:
    return not file.endswith(suffix) if suffix == _TRAIN_IDS and file.endswith(".png") else file.endswith(_OTHER_MASKS)


def fits_ade(root: Path) -> bool:
    """Whether there are ``images/training`` or ``images/validation`` and ``annotations`` beside."""
    top = base(root, ("ADEChallengeData2016",), "images")
    if top is None:
        return False
    splits = [name for name in ("training", "validation") if (top / "images" / name).is_dir()]
    return any((top / "annotations" / name).is_dir() for name in splits)


def read_ade(root: Path, split: str | None, progress: Progress, ignore_unknown: bool = False) -> StoredDataSet:
    """ADE20K of the 2016 challenge: masks store 1..150, and 0 for void.

    Raises:
        DataError: the folder has not this layout, there is no such split, or no photograph is usable.
    """
    if (top := base(root, ("ADEChallengeData2016",), "images")) is None:
        raise DataError(f"{root}: expected images/ and annotations/ of ADEChallengeData2016, there is no images/")
    ade = benchmark("ade")
    storage = Storage(ade.classes, ade.stored, ade.void, own_palette=True)
    known = [path.name for path in folders_of(top / "images")]
    chosen = known if split is None else [chosen_split(root, split, known)]
    parts = [Part(top / "images" / name, top / "annotations" / name, storage, "objectInfo150.txt") for name in chosen]
    return assemble(top, split, ade.classes, parts, progress)


def _stuff_places(root: Path) -> dict[str, tuple[Path, Path]]:
    """Folders of photographs and of masks, by split."""
    found = {}
    for split in ("train2017", "val2017", "train2014", "val2014"):
        images = first_folder(root, f"images/{split}", split)
        masks = first_folder(
            root, f"stuffthingmaps/{split}", f"stuffthingmaps_trainval2017/{split}", f"annotations/{split}",
            f"annotations/stuffthingmaps_trainval2017/{split}",
        )  # fmt: skip
        if images is not None and masks is not None:
            found[split] = images, masks
    return found


def fits_stuff(root: Path) -> bool:
    """Whether there are folders of photographs such as ``images/train2017``, and of masks for them."""
    return bool(_stuff_places(root))


def read_stuff(root: Path, split: str | None, progress: Progress, ignore_unknown: bool = False) -> StoredDataSet:
    """COCO-Stuff: ``stuffthingmaps`` store category ids less one, 0..181 with gaps, and 255 for void.

    Where there are masks ``NAME_labelTrainIds.png``, which store 0..170 without gaps, those are read.

    Raises:
        DataError: the folder has not this layout, there is no such split, or no photograph is usable.
    """
    places = _stuff_places(root)
    if not places:
        raise DataError(f"{root}: expected images/train2017 and stuffthingmaps_trainval2017/train2017, or val2017")
    stuff = benchmark("stuff")
    storage = Storage(stuff.classes, stuff.stored, stuff.void)
    without_gaps = replace(storage, stored=tuple(range(len(stuff.stored))))
    split = None if split is None else chosen_split(root, split, list(places))
    parts = []
    for name, (images, masks) in places.items():
        if split in (None, name):
            parts.append(Part(images, masks, storage, "COCO-Stuff's category ids less one"))
            if any(file.endswith(_TRAIN_IDS) for file in list_files(masks, _PNG).files):
                parts[-1] = Part(images, masks, without_gaps, "COCO-Stuff's 171 classes", _TRAIN_IDS)
    return assemble(root, split, stuff.classes, parts, progress)


_CONTEXT_MASKS = ("SegmentationClassContext", "59_context_labels", "Context59")


def _context_top(root: Path) -> tuple[Path, Path] | None:
    for folder in ("", "VOC2010", "VOCdevkit/VOC2010"):
        masks = first_folder(root / folder, *_CONTEXT_MASKS)
        if masks is not None and (root / folder / "JPEGImages").is_dir():
            return root / folder, masks
    return None


def fits_context(root: Path) -> bool:
    """Whether there are ``JPEGImages`` and ``SegmentationClassContext``."""
    return _context_top(root) is not None


def read_context(root: Path, split: str | None, progress: Progress, ignore_unknown: bool = False) -> StoredDataSet:
    """PASCAL-Context with its 59 frequent classes: masks store 1..59, 0 (and 255) for void.

    The numbers follow the alphabet, as the converters of the field write them; where ``59_labels.txt``
    (``1: aeroplane``) lies beside the masks, they follow it.

    Raises:
        DataError: the folder has not this layout, there is no such split, or no photograph is usable.
    """
    if (places := _context_top(root)) is None:
        raise DataError(
            f"{root}: expected JPEGImages/ and SegmentationClassContext/ with PNG masks of 59 classes; convert the "
            ".mat files of PASCAL-Context to them"
        )
    top, folder = places
    context = benchmark("context")
    stored = _context_order(top, folder, context.classes) or context.stored
    storage = Storage(context.classes, stored, context.void)
    lists = {
        path.stem: path for inner in ("ImageSets/Main", "ImageSets/SegmentationContext")
        for path in (top / inner).glob("*.txt")
    }  # fmt: skip
    if split is not None and split not in lists:
        raise no_split(root, split, list(lists))
    parts = [Part(top / "JPEGImages", folder, storage, "PASCAL-Context's 59 classes")]
    listed = None if split is None else lists[split]
    return assemble(top, split, context.classes, parts, progress, listed, only_masked=split is None)


def _context_order(top: Path, masks: Path, classes: ClassTable) -> tuple[int, ...] | None:
    path = next((folder / "59_labels.txt" for folder in (masks, top) if (folder / "59_labels.txt").is_file()), None)
    if path is None:
        return None
    numbers = {}
    for line in read_text(path).splitlines():
        if match := re.fullmatch(r"\s*(\d{1,3})\s*:\s*(.+?)\s*", line):
            numbers[match[2].replace("diningtable", "table")] = int(match[1])
    missing = [name for name in classes.names if not 0 < numbers.get(name, 0) < 255]
    if missing or len({numbers[name] for name in classes.names}) < len(classes.names):
        raise DataError(f"{path}: expected a number of its own for each class; not so: {enumeration(missing)}")
    return tuple(numbers[name] for name in classes.names)
