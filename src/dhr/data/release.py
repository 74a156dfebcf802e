"""The layout of the authors' release: ``SPLIT/image``, ``SPLIT/mask`` and ``SPLIT/xml`` for each benchmark."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dhr.data.background import is_background
from dhr.data.benchmarks import benchmark
from dhr.data.folder import class_file
from dhr.data.ground_truth import MaskFile, ground_truth_files
from dhr.data.images import SUFFIXES
from dhr.data.json_text import read_json
from dhr.data.labels import Storage, plain
from dhr.data.listing import Names, list_files, name_of
from dhr.data.mask_tags import tags_of_masks
from dhr.data.places import chosen_split
from dhr.data.samples import VOID, ClassTable, Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import TagReader
from dhr.data.voc_xml import Tagged
from dhr.data.xml_files import XmlFiles
from dhr.errors import DataError
from dhr.progress import Progress, Step

_STARTS = (("voc", "voc"), ("coco2", "coco"), ("coco-", "stuff"), ("pascalcontext", "context"), ("ade", "ade"))


def _splits(root: Path) -> list[str]:
    folders = [path for path in root.iterdir() if (path / "image").is_dir()]
    return sorted(path.name for path in folders if (path / "xml").is_dir() or (path / "mask").is_dir())


def fits_release(root: Path) -> bool:
    """Whether there is a folder with ``image/`` and ``xml/`` or ``mask/`` in it."""
    return bool(_splits(root))


def read_release(root: Path, split: str | None, progress: Progress, ignore_unknown: bool = False) -> StoredDataSet:
    """Read a data set in the layout of the authors' release.

    Classes are those of ``classes.txt`` in the folder, of ``NAME.json`` (``names``, ``ignore``) in it or beside it, or
    of the benchmark that the folder is called after: ``VOC2012``, ``COCO2014``, ``PascalContext``, ``ADE2016``,
    ``COCO-Stuff``. With the first two, masks store positions in that list. Tags come from ``xml/``, or from the masks
    of a split that has no such folder.

    Raises:
        DataError: the folder has not this layout, there is no such split, its classes are unknown, or no photograph is
            usable.
    """
    splits = _splits(root)
    if not splits:
        raise DataError(f"{root}: expected folders such as train/image, train/mask and train/xml; found none")
    storage, note = _storage(root)
    reader = TagReader(storage.classes)
    found: list[Found] = []
    problems: list[Problem] = []
    stray: list[Problem] = []
    notes: list[str] = []
    for name in [chosen_split(root, split, splits)] if split is not None else splits:
        folder = root / name
        listed = list_files(folder / "image", SUFFIXES)
        names = Names(listed.files, f"{name}/image/")
        matched = ground_truth_files(folder / "mask", [name_of(file, SUFFIXES) for file in listed.files])
        masks = {stem: MaskFile(path, storage, note) for stem, path in matched.by_name.items()}
        xml = XmlFiles(folder / "xml", names) if (folder / "xml").is_dir() else None
        tags_of = _of_masks(masks, progress) if xml is None else partial(xml.tagged, read=reader)
        for done, file in enumerate(listed.files, start=1):
            stem, path, tagged = name_of(file, SUFFIXES), folder / "image" / file, tags_of(file)
            found.append(Found(stem, str(path), path, tagged.tags, masks.get(stem), tagged.reason, tagged.unread))
            progress(Step("open", done, len(listed.files)))
        problems += [*listed.problems, *(() if xml is None else xml.strays())]
        notes += [] if xml is None or xml.other_filenames is None else [xml.other_filenames]
        stray += matched.stray
    where = str(root) + ("" if split is None else f" in split {split!r}")
    remedy = "put photographs into image/"
    notes += reader.notes
    return StoredDataSet(
        where, storage.classes, found, problems, remedy, notes, ignore_unknown, stray_ground_truth=stray
    )


def _of_masks(masks: Mapping[str, MaskFile], progress: Progress) -> Callable[[str], Tagged]:
    of_mask = tags_of_masks(masks, progress)
    return lambda file: Tagged(*of_mask(name_of(file, SUFFIXES)))


def _storage(root: Path) -> tuple[Storage, str]:
    if (classes := class_file(root)) is not None:
        return plain(classes), "classes.txt"
    name = root.resolve().name
    for path in (root / f"{name}.json", root.resolve().parent / f"{name}.json"):
        if path.is_file():
            return _of_json(path), path.name
    for start, known in _STARTS:
        if name.casefold().startswith(start):
            made = benchmark(known)
            own = known in ("voc", "ade")
            return Storage(made.classes, made.stored, made.void, own_palette=own), f"the classes of {known}"
    raise DataError(
        f"{root}: expected a folder called VOC2012, COCO2014, PascalContext, ADE2016 or COCO-Stuff, which says "
        f"what its classes are, got {name!r}; rename it, or write classes.txt"
    )


def _of_json(path: Path) -> Storage:
    value: Any = read_json(path)
    names = value.get("names") if isinstance(value, dict) else None
    void = value.get("ignore", VOID) if isinstance(value, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not 0 < len(names) <= VOID:
        raise DataError(f'{path}: expected {{"names": [class, ...], "ignore": number}}; correct it')
    if len(set(names)) < len(names) or not isinstance(void, int) or not 0 <= void <= 255:
        raise DataError(f"{path}: expected different names, and a number 0..255 to ignore; correct it")
    kept = [index for index in range(len(names)) if index != void]
    background = is_background(names[kept[0]])
    table = ClassTable(tuple(names[index] for index in kept), background)
    return Storage(table, tuple(kept), tuple({void, VOID} - set(kept)))
