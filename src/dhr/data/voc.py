"""PASCAL VOC 2012, as it is unpacked, with the additions of the field."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dhr.data.benchmarks import benchmark
from dhr.data.image_labels import LABEL_FILES, read_image_labels
from dhr.data.listing import list_files, name_of, printable
from dhr.data.mask_tags import Progress, tags_of_masks
from dhr.data.places import base, no_split, read_list
from dhr.data.samples import Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import TagReader
from dhr.data.truth import MaskFile, Storage
from dhr.data.xml_text import object_names
from dhr.errors import DataError

_INNER = ("VOC2012", "VOCdevkit/VOC2012")
_LISTS = ("ImageSets/Segmentation", "ImageSets/Main", "ImageSets", "lists", "")
_PHOTOGRAPHS = frozenset({".jpg", ".jpeg", ".png"})
_MASKS = ("SegmentationClassAug", "SegmentationClass")  # the last that has a mask wins: it is the official one

Tags = tuple[tuple[int, ...], str | None]
"""Class ids, or why there are none."""


def fits_voc(root: Path) -> bool:
    """Whether there is ``JPEGImages/`` and something that labels it as VOC."""
    top = base(root, _INNER, "JPEGImages")
    return top is not None and not (top / "SegmentationClassContext").is_dir() and any(
        (top / name).exists() for name in ("Annotations", *_MASKS, *LABEL_FILES)
    )  # fmt: skip


def read_voc(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
    """Read VOC 2012.

    Tags come from ``cls_labels.json`` (or ``.txt``) if there is one, else from ``Annotations/``, else from the masks.
    Truth is ``SegmentationClass/``, and ``SegmentationClassAug/`` (SBD) for photographs that it lacks.

    Raises:
        DataError: the folder has not this layout, there is no such split, or no photograph is usable.
    """
    top = base(root, _INNER, "JPEGImages")
    if top is None:
        raise DataError(f"{root}: expected a folder JPEGImages in it, there is none; give the folder VOC2012")
    voc = benchmark("voc")
    storage = Storage(voc.classes, voc.stored, voc.void, own_palette=True)
    images = list_files(top / "JPEGImages", _PHOTOGRAPHS)
    by_name = {name_of(file, _PHOTOGRAPHS): file for file in images.files}
    problems = list(images.problems) if split is None else []
    names = list(by_name)
    if split is not None:
        path = _list(top, root, split)
        names = []
        for name, line in read_list(path).items():
            if name in by_name:
                names.append(name)
            else:
                reason = f"{path} line {line}: no photograph of this name in JPEGImages/; add it or remove the line"
                problems.append(Problem(printable(name), reason))
    masks: dict[str, MaskFile] = {}
    for folder in _MASKS:
        if (top / folder).is_dir():
            for file in list_files(top / folder, frozenset({".png"})).files:
                masks[name_of(file, _PHOTOGRAPHS)] = MaskFile(top / folder / file, storage, "VOC's 20 classes")
    tags_of = _tags(top, root, names, masks, progress)
    found = []
    for name in names:
        path = top / "JPEGImages" / by_name[name]
        tags, wrong = tags_of(name)
        found.append(Found(name, str(path), path, tags, masks.get(name), wrong))
    where = str(top) + ("" if split is None else f" in split {split!r}")
    return StoredDataSet(where, voc.classes, found, problems, "put photographs into JPEGImages/")


def _list(top: Path, root: Path, split: str) -> Path:
    folders = [folder for folder in (*(top / name for name in _LISTS), root) if folder.is_dir()]
    known = {path.stem: path for folder in reversed(folders) for path in folder.glob("*.txt")}
    for name in (split, split.replace("_", ""), "train_aug" if split == "trainaug" else split):
        if name in known and name != "cls_labels":
            return known[name]
    raise no_split(root, split, [name for name in known if "_" not in name or "aug" in name])


def _tags(
    top: Path, root: Path, names: list[str], masks: Mapping[str, MaskFile], progress: Progress
) -> Callable[[str], Tags]:
    reader = TagReader(benchmark("voc").classes)
    path = next((folder / name for folder in (top, root) for name in LABEL_FILES if (folder / name).is_file()), None)
    if path is not None:
        lines = read_image_labels(path, benchmark("voc").classes)

        def of_list(name: str) -> Tags:
            if name not in lines:
                return (), f"no labels in {path}; add them"
            line = lines[name]
            return line.tags, None if line.reason is None else f"{path} entry {line.line}: {line.reason}"

        return of_list
    if (top / "Annotations").is_dir():

        def of_xml(name: str) -> Tags:
            return tags_of_xml(top / "Annotations" / f"{name}.xml", name, reader)

        return of_xml
    return tags_of_masks({name: masks[name] for name in names if name in masks}, progress)


def tags_of_xml(path: Path, name: str, reader: TagReader) -> Tags:
    """Tags of a VOC annotation: the names of its objects."""
    if not path.is_file():
        return (), f"no annotation {path}; add it"
    try:
        objects = list(object_names(path))
    except DataError as error:
        return (), str(error)
    for line, tag in objects:
        if reason := reader(line, name, [tag]).reason:
            return (), f"{path} line {line}: {reason}"
    read = reader(0, name, [tag for _, tag in objects])
    return read.tags, None if read.reason is None else f"{path}: {read.reason}"
