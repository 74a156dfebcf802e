"""Read data sets in which every pixel has a class: PASCAL-Context (59), ADE20K (150), COCO-Stuff (171)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dhr.data.benchmarks import benchmark
from dhr.data.classes import enumeration, read_text
from dhr.data.folder import TAG_FILES
from dhr.data.ground_truth import MaskFile, ground_truth_files
from dhr.data.images import SUFFIXES
from dhr.data.labels import Storage
from dhr.data.listing import list_files, name_of
from dhr.data.mask_tags import tags_of_masks
from dhr.data.names import Names
from dhr.data.places import base, first_folder, folders_of, listed_files, no_split
from dhr.data.samples import ClassTable
from dhr.data.stored import Draft, Reader, StoredDataSet
from dhr.data.tags import match_lines, read_tags
from dhr.errors import DataError

_PNG = frozenset({".png"})


@dataclass(frozen=True)
class Part:
    """A folder of photographs, and that of their masks."""

    images: Path
    masks: Path
    storage: Storage
    note: str
    """The place that explains the class ids, for messages."""
    suffix: str = ".png"
    """The end of a mask's name, after the photograph's name."""


def assemble(
    draft: Draft, classes: ClassTable, parts: Sequence[Part], listed: Path | None = None, only_masked: bool = False
) -> StoredDataSet:
    """Make a data set of the photographs of all ``parts``, or of those that the list ``listed`` names.

    Tags come from a file of tags in the root if it exists, else from the masks. ``only_masked`` ignores photographs
    without a mask.
    """
    files: list[tuple[Part, str]] = []
    masks: dict[str, MaskFile] = {}
    for part in parts:
        listing = list_files(part.images, SUFFIXES)
        draft.problems += listing.problems if listed is None else ()
        matched = _masks(draft, part, [name_of(file, SUFFIXES) for file in listing.files])
        files += [(part, file) for file in listing.files if not only_masked or name_of(file, SUFFIXES) in matched]
        masks |= matched
    names = Names([file for _, file in files], str(draft.root))
    if listed is not None:
        wanted = listed_files(listed, names, draft.problems)
        files = [(part, file) for part, file in files if file in wanted]
    if (path := next((draft.root / name for name in TAG_FILES if (draft.root / name).is_file()), None)) is None:
        stems = (name_of(file, SUFFIXES) for _, file in files)
        tags_of = tags_of_masks({stem: masks[stem] for stem in stems if stem in masks}, draft.progress)
    else:
        lines = read_tags(path, classes, draft.notes, source=None)
        tags_of = match_lines(path, lines, names, draft.problems if draft.split is None else None).tags_of
    for part, file in files:
        draft.add(part.images, [file], tags_of, masks)
    return draft.finish(classes, "put photographs and masks there")


_TRAIN_IDS = "_labelTrainIds.png"
_OTHER_MASKS = (_TRAIN_IDS, "_instanceTrainIds.png")  # what COCO-Stuff's programs write beside the masks


def _masks(draft: Draft, part: Part, names: Sequence[str]) -> dict[str, MaskFile]:
    """Return the masks of a part by photograph; other files become stray ground truth, known companions do not."""
    end = part.suffix.removesuffix(".png")
    found = ground_truth_files(part.masks, [f"{name}{end}" for name in names])
    draft.stray_ground_truth += [one for one in found.stray if not _of_another_kind(one.source, part.suffix)]
    return {name.removesuffix(end): MaskFile(path, part.storage, part.note) for name, path in found.by_name.items()}


def _of_another_kind(file: str, suffix: str) -> bool:
    return not file.endswith(suffix) if suffix == _TRAIN_IDS and file.endswith(".png") else file.endswith(_OTHER_MASKS)


def fits_ade(root: Path) -> bool:
    """Tell whether there are ``images/training`` or ``images/validation`` with ``annotations`` beside them."""
    top = base(root, ("ADEChallengeData2016",), "images")
    if top is None:
        return False
    splits = [name for name in ("training", "validation") if (top / "images" / name).is_dir()]
    return any((top / "annotations" / name).is_dir() for name in splits)


def read_ade(draft: Draft) -> StoredDataSet:
    """Read ADE20K of the 2016 challenge: masks store 1..150, and 0 for void."""
    if (top := base(draft.root, ("ADEChallengeData2016",), "images")) is None:
        raise DataError(f"{draft.root}: expected images/ and annotations/ of ADEChallengeData2016, there is no images/")
    ade = benchmark("ade")
    storage = Storage(ade.classes, ade.stored, ade.void, own_palette=True)
    chosen = draft.choose([path.name for path in folders_of(top / "images")])
    parts = [Part(top / "images" / name, top / "annotations" / name, storage, "objectInfo150.txt") for name in chosen]
    draft.root = top
    return assemble(draft, ade.classes, parts)


def _stuff_places(root: Path) -> dict[str, tuple[Path, Path]]:
    """Return folders of photographs and of masks, by split."""
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


def read_stuff(draft: Draft) -> StoredDataSet:
    """Read COCO-Stuff: ``stuffthingmaps`` store category ids less one, 0..181 with gaps, and 255 for void.

    Masks ``NAME_labelTrainIds.png``, which store 0..170 without gaps, are preferred.
    """
    places = _stuff_places(draft.root)
    if not places:
        raise DataError(
            f"{draft.root}: expected images/train2017 (val2017) and stuffthingmaps_trainval2017/ with the same"
        )
    stuff = benchmark("stuff")
    storage = Storage(stuff.classes, stuff.stored, stuff.void)
    without_gaps = replace(storage, stored=tuple(range(len(stuff.stored))))
    parts = []
    for images, masks in (places[name] for name in draft.choose(list(places))):
        parts.append(Part(images, masks, storage, "COCO-Stuff's category ids less one"))
        if any(file.endswith(_TRAIN_IDS) for file in list_files(masks, _PNG).files):
            parts[-1] = Part(images, masks, without_gaps, "COCO-Stuff's 171 classes", _TRAIN_IDS)
    return assemble(draft, stuff.classes, parts)


_CONTEXT_MASKS = ("SegmentationClassContext", "59_context_labels", "Context59")


def _context_top(root: Path) -> tuple[Path, Path] | None:
    for folder in ("", "VOC2010", "VOCdevkit/VOC2010"):
        masks = first_folder(root / folder, *_CONTEXT_MASKS)
        if masks is not None and (root / folder / "JPEGImages").is_dir():
            return root / folder, masks
    return None


def read_context(draft: Draft) -> StoredDataSet:
    """Read PASCAL-Context with its 59 frequent classes: masks store 1..59, 0 (and 255) for void.

    The numbers follow the alphabet, as the field's converters write them, or ``59_labels.txt`` (``1: aeroplane``)
    beside the masks.
    """
    if (places := _context_top(draft.root)) is None:
        raise DataError(
            f"{draft.root}: expected JPEGImages/ and SegmentationClassContext/ with PNG masks of 59 classes; convert "
            "the .mat files of PASCAL-Context to them"
        )
    top, folder = places
    context = benchmark("context")
    storage = Storage(context.classes, _context_order(top, folder, context.classes) or context.stored, context.void)
    inner = ("ImageSets/Main", "ImageSets/SegmentationContext")
    lists = {path.stem: path for place in inner for path in (top / place).glob("*.txt")}
    if draft.split is not None and draft.split not in lists:
        raise no_split(draft.root, draft.split, list(lists))
    draft.root = top
    parts = [Part(top / "JPEGImages", folder, storage, "PASCAL-Context's 59 classes")]
    listed = None if draft.split is None else lists[draft.split]
    return assemble(draft, context.classes, parts, listed, only_masked=draft.split is None)


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


CONTEXT = Reader(
    "JPEGImages/ with SegmentationClassContext/",
    lambda root: _context_top(root) is not None,
    read_context,
    published=True,
)
ADE = Reader(
    "images/training/ with annotations/training/",
    fits_ade,
    read_ade,
    published=True,
    needs=(("images/training", "images/validation"), ("annotations/training", "annotations/validation")),
)
STUFF = Reader(
    "images/train2017/ with stuffthingmaps_trainval2017/train2017/",
    lambda root: bool(_stuff_places(root)),
    read_stuff,
    published=True,
    needs=(
        ("images/train2017", "images/val2017", "train2017", "val2017"),
        ("stuffthingmaps_trainval2017/train2017", "stuffthingmaps_trainval2017/val2017"),
    ),
)
