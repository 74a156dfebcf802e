"""The layout of the authors' release: ``SPLIT/image``, ``SPLIT/mask`` and ``SPLIT/xml`` for each benchmark."""

from pathlib import Path
from typing import Any

from dhr.data.benchmarks import benchmark
from dhr.data.classes import BACKGROUND
from dhr.data.folder import class_file
from dhr.data.json_text import read_json
from dhr.data.listing import list_files, name_of
from dhr.data.mask_tags import Progress
from dhr.data.places import no_split
from dhr.data.samples import VOID, ClassTable, Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import TagReader
from dhr.data.truth import MaskFile, Storage, plain
from dhr.data.voc import tags_of_xml
from dhr.errors import DataError

_STARTS = (("voc", "voc"), ("coco2", "coco"), ("coco-", "stuff"), ("pascalcontext", "context"), ("ade", "ade"))
_PHOTOGRAPHS = frozenset({".jpg", ".jpeg", ".png"})


def _splits(root: Path) -> list[str]:
    folders = [path for path in root.iterdir() if (path / "image").is_dir()]
    return sorted(path.name for path in folders if (path / "xml").is_dir() or (path / "mask").is_dir())


def fits_release(root: Path) -> bool:
    """Whether there is a folder with ``image/`` and ``xml/`` or ``mask/`` in it."""
    return bool(_splits(root))


def read_release(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
    """Read a data set in the layout of the authors' release.

    Classes are those of ``classes.txt`` in the folder, of ``NAME.json`` (``names``, ``ignore``) in it or beside it, or
    of the benchmark that the folder is called after: ``VOC2012``, ``COCO2014``, ``PascalContext``, ``ADE2016``,
    ``COCO-Stuff``. With the first two, masks store positions in that list.

    Raises:
        DataError: the folder has not this layout, there is no such split, its classes are unknown, or no photograph is
            usable.
    """
    splits = _splits(root)
    if not splits:
        raise DataError(f"{root}: expected folders such as train/image, train/mask and train/xml; there are none")
    if split is not None and split not in splits:
        raise no_split(root, split, splits)
    storage, note = _storage(root)
    reader = TagReader(storage.classes)
    found, problems = [], list[Problem]()
    for name in [split] if split is not None else splits:
        folder = root / name
        listed = list_files(folder / "image", _PHOTOGRAPHS)
        problems += listed.problems
        for done, file in enumerate(listed.files, start=1):
            stem = name_of(file, _PHOTOGRAPHS)
            tags, reason = tags_of_xml(folder / "xml" / f"{stem}.xml", stem, reader)
            mask = folder / "mask" / f"{stem}.png"
            truth = MaskFile(mask, storage, note) if mask.is_file() else None
            found.append(Found(stem, str(folder / "image" / file), folder / "image" / file, tags, truth, reason))
            progress(done, len(listed.files))
    where = str(root) + ("" if split is None else f" in split {split!r}")
    return StoredDataSet(where, storage.classes, found, problems, "put photographs into image/")


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
    background = names[kept[0]].casefold() == BACKGROUND
    table = ClassTable(tuple(names[index] for index in kept), background)
    return Storage(table, tuple(kept), tuple({void, VOID} - set(kept)))
