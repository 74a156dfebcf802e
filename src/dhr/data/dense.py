"""Data sets in which every pixel has a class: PASCAL-Context (59), ADE20K (150), COCO-Stuff (171)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dhr.data.benchmarks import benchmark
from dhr.data.classes import enumeration, read_text
from dhr.data.folder import TAG_FILES
from dhr.data.listing import Names, list_files, name_of, printable
from dhr.data.mask_tags import Progress, tags_of_masks
from dhr.data.matching import match_lines
from dhr.data.places import base, first_folder, no_split, read_list
from dhr.data.samples import ClassTable, Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import read_tags
from dhr.data.truth import MaskFile, Storage
from dhr.errors import DataError

_PHOTOGRAPHS = frozenset({".jpg", ".jpeg", ".png"})
_PNG = frozenset({".png"})


@dataclass(frozen=True)
class Part:
    """A folder of photographs, and the masks of those that have one, by the photographs' names."""

    images: Path
    masks: Mapping[str, MaskFile]


def assemble(
    root: Path, split: str | None, classes: ClassTable, parts: Mapping[str, Part], progress: Progress,
    wanted: Mapping[str, int] | None = None, listed: Path | None = None,
) -> StoredDataSet:  # fmt: skip
    """Photographs of all ``parts``; ``wanted`` names those of a list, with its lines.

    Tags come from ``tags.csv`` or ``tags.jsonl`` in ``root`` if there is one, else from the masks.
    """
    files: dict[str, Path] = {}
    masks: dict[str, MaskFile] = {}
    problems: list[Problem] = []
    several: list[Found] = []
    notes: list[str] = []
    for part in parts.values():
        listing = list_files(part.images, _PHOTOGRAPHS)
        if wanted is None:
            problems += listing.problems
        for file in listing.files:
            name = name_of(file, _PHOTOGRAPHS)
            if wanted is not None and name not in wanted:
                continue
            if name in files:
                path = part.images / file
                several += [Found(name, str(one), one, (), None) for one in (path, files[name])]
            files[name] = part.images / file
            if name in part.masks:
                masks[name] = part.masks[name]
    for name, line in (wanted or {}).items():
        if name not in files:
            problems.append(Problem(printable(name), f"{listed} line {line}: no photograph of this name; add it"))
    file_of_tags = next((root / name for name in TAG_FILES if (root / name).is_file()), None)
    if file_of_tags is None:
        tags_of = tags_of_masks({name: masks[name] for name in files if name in masks}, progress)
    else:
        named = {name: f"{name}{path.suffix}" for name, path in files.items()}
        lines = read_tags(file_of_tags, classes, notes)
        matched = match_lines(file_of_tags, lines, Names(list(named.values()), str(root)))
        problems += matched.problems if wanted is None and split is None else ()

        def tags_of(name: str) -> tuple[tuple[int, ...], str | None]:
            return matched.tags_of(named[name])

    found = [Found(name, str(path), path, *_pair(tags_of(name), masks.get(name))) for name, path in files.items()]
    where = str(root) + ("" if split is None else f" in split {split!r}")
    return StoredDataSet(where, classes, [*found, *several], problems, "put photographs and masks there", notes)


def _pair(
    tags: tuple[tuple[int, ...], str | None], mask: MaskFile | None
) -> tuple[tuple[int, ...], MaskFile | None, str | None]:
    return tags[0], mask, tags[1]


def mask_files(folder: Path, storage: Storage, note: str, suffix: str = ".png") -> dict[str, MaskFile]:
    """The PNG files of ``folder`` whose names end with ``suffix``, by their names without it."""
    if not folder.is_dir():
        return {}
    files = [file for file in list_files(folder, _PNG).files if file.endswith(suffix)]
    return {file[: -len(suffix)]: MaskFile(folder / file, storage, note) for file in files}


def fits_ade(root: Path) -> bool:
    """Whether there are ``images/training`` or ``images/validation`` and ``annotations`` beside."""
    top = base(root, ("ADEChallengeData2016",), "images")
    if top is None:
        return False
    splits = [name for name in ("training", "validation") if (top / "images" / name).is_dir()]
    return any((top / "annotations" / name).is_dir() for name in splits)


def read_ade(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
    """ADE20K of the 2016 challenge: masks store 1..150, and 0 for void.

    Raises:
        DataError: the folder has not this layout, there is no such split, or no photograph is usable.
    """
    if (top := base(root, ("ADEChallengeData2016",), "images")) is None:
        raise DataError(f"{root}: expected images/ and annotations/ of ADEChallengeData2016, there is no images/")
    ade = benchmark("ade")
    storage = Storage(ade.classes, ade.stored, ade.void, own_palette=True)
    known = sorted(path.name for path in (top / "images").iterdir() if path.is_dir())
    chosen = known if split is None else [{"train": "training", "val": "validation"}.get(split, split)]
    if split is not None and chosen[0] not in known:
        raise no_split(root, split, known)
    parts = {
        name: Part(top / "images" / name, mask_files(top / "annotations" / name, storage, "objectInfo150.txt"))
        for name in chosen
    }
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


def read_stuff(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
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
    if split is not None and (split := {"train": "train2017", "val": "val2017"}.get(split, split)) not in places:
        raise no_split(root, split, list(places))
    parts = {}
    for name, (images, masks) in places.items():
        if split in (None, name):
            made = mask_files(masks, without_gaps, "COCO-Stuff's 171 classes", "_labelTrainIds.png")
            parts[name] = Part(images, made or mask_files(masks, storage, "COCO-Stuff's category ids less one"))
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


def read_context(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
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
    masks = mask_files(folder, storage, "PASCAL-Context's 59 classes")
    wanted = dict.fromkeys(masks, 0) if split is None else read_list(lists[split])
    parts = {"": Part(top / "JPEGImages", masks)}
    return assemble(top, split, context.classes, parts, progress, wanted, lists.get(split or ""))


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
