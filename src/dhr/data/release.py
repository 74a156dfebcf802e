"""The format of the authors' release: ``SPLIT/image``, ``SPLIT/mask`` and ``SPLIT/xml`` for each benchmark."""

from functools import partial
from pathlib import Path
from typing import Any

from dhr.data.background import is_background
from dhr.data.benchmarks import benchmark
from dhr.data.classes import class_file
from dhr.data.ground_truth import MaskFile
from dhr.data.images import SUFFIXES
from dhr.data.json_text import read_json
from dhr.data.labels import Storage, plain
from dhr.data.listing import list_files, name_of
from dhr.data.mask_tags import tags_of_masks
from dhr.data.names import Names
from dhr.data.samples import VOID, ClassTable
from dhr.data.stored import Draft, Reader, StoredDataSet
from dhr.data.tags import TagReader
from dhr.data.xml_files import XmlFiles
from dhr.errors import DataError

_STARTS = (("voc", "voc"), ("coco2", "coco"), ("coco-", "stuff"), ("pascalcontext", "context"), ("ade", "ade"))


def _splits(root: Path) -> list[str]:
    folders = [path for path in root.iterdir() if (path / "image").is_dir()]
    return sorted(path.name for path in folders if (path / "xml").is_dir() or (path / "mask").is_dir())


def read_release(draft: Draft) -> StoredDataSet:
    """Read a data set as the authors released it.

    Classes are those of ``classes.txt`` in the folder, of ``NAME.json`` (``names``, ``ignore``) in it or beside it, or
    of the benchmark that names the folder: ``VOC2012``, ``COCO2014``, ``PascalContext``, ``ADE2016``, ``COCO-Stuff``.
    With the first two, masks store positions in that list. Tags come from ``xml/``, or from the masks of a split
    without that folder.
    """
    root = draft.root
    splits = _splits(root)
    if not splits:
        raise DataError(f"{root}: expected folders such as train/image, train/mask and train/xml; found none")
    storage, note = _storage(root)
    reader = TagReader(storage.classes)
    for split in draft.choose(splits):
        folder = root / split
        listed = list_files(folder / "image", SUFFIXES)
        names = Names(listed.files, f"{split}/image/")
        matched = draft.masks(folder / "mask", [name_of(file, SUFFIXES) for file in listed.files])
        masks = {stem: MaskFile(path, storage, note) for stem, path in matched.items()}
        draft.problems += listed.problems
        if (folder / "xml").is_dir():
            xml = XmlFiles(folder / "xml", names)
            draft.add(folder / "image", listed.files, partial(xml.tagged, read=reader), masks)
            draft.problems += xml.strays()
            draft.notes += xml.notes
        else:
            draft.add(folder / "image", listed.files, tags_of_masks(masks, draft.progress), masks)
    draft.notes += reader.notes
    return draft.finish(storage.classes, "put photographs into image/")


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
        f"{root}: expected a folder called VOC2012, COCO2014, PascalContext, ADE2016 or COCO-Stuff, which "
        f"stands for its classes, got {name!r}; rename it, or write classes.txt"
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


RELEASE = Reader(
    "SPLIT/image/ with SPLIT/xml/ and SPLIT/mask/",
    lambda root: bool(_splits(root)),
    read_release,
    published=True,
    needs=(("*/image",), ("*/xml", "*/mask")),
)
