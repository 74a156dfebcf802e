"""PASCAL VOC's format: as it is published, with the additions of the field, or with classes of one's own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dhr.data.ground_truth import MaskFile
from dhr.data.image_labels import LABEL_FILES, read_image_labels
from dhr.data.images import SUFFIXES
from dhr.data.listing import list_files, name_of
from dhr.data.mask_tags import tags_of_masks
from dhr.data.names import Names
from dhr.data.places import base, chosen_split, folders_of, listed_files, no_split, split_of
from dhr.data.problems import summary
from dhr.data.samples import Problem, Tagged
from dhr.data.stored import Draft, Reader, StoredDataSet
from dhr.data.tags import TagReader, match_lines
from dhr.data.voc_classes import CLASS_FILES, VocTable, voc_table
from dhr.data.voc_places import INNER, MASK_FOLDERS, Place, other_years, voc_places
from dhr.data.xml_files import XmlFiles
from dhr.errors import DataError
from dhr.progress import Progress, Step

_TEXTS = (".txt", ".md")  # beside photographs: class names, a tool's read-me
_NO_PHOTOGRAPHS = (*MASK_FOLDERS, "SegmentationObject", "ImageSets", "truth")


def read_voc(draft: Draft) -> StoredDataSet:
    """Read VOC's format.

    Tags come from ``cls_labels.json`` (or ``.txt``) if it exists, else from the annotations, else from the masks.
    Ground truth is ``SegmentationClass/``, or ``SegmentationClassAug/`` (SBD) where the first has no mask. Classes are
    those of :func:`~dhr.data.voc_classes.voc_table`.
    """
    root, split = draft.root, draft.split
    places = _places(root)
    tops = [*(place.top for place in places.values()), root]
    labels = next((top / name for top in tops for name in LABEL_FILES if (top / name).is_file()), None)
    parts = {name: _Part(name, place, annotated=labels is None) for name, place in places.items()}
    chosen, wanted = list(parts), None
    if split is not None and "" not in parts:
        chosen = draft.choose(list(parts))
    elif split is not None:
        wanted = _wanted(root, split, parts[""], draft.problems)
    table = _table(list(dict.fromkeys(tops)), parts, draft.progress)
    reader = TagReader(table.classes, table.listed_in)
    draft.notes += [] if table.note is None else [table.note]
    strays = draft.problems if wanted is None else None
    for part in (parts[name] for name in chosen):
        masks = part.masks(table, draft)
        files = [file for file in part.files if wanted is None or file in wanted]
        tags_of: Callable[[str], Tagged]
        if labels is not None:
            lines = read_image_labels(labels, table.classes, reader).values()
            tags_of = match_lines(labels, lines, part.names, strays, "entry").tags_of
        elif part.xml is not None:
            tags_of = partial(part.xml.tagged, read=reader)
        else:
            tags_of = _of_masks(files, masks, draft.progress, part.prefix)
        if strays is not None:
            strays += part.problems
        draft.add(part.place.images, files, tags_of, masks, part.prefix)
        draft.notes += part.notes(table)
    draft.notes += reader.notes
    return draft.finish(table.classes, "put photographs into JPEGImages/", parts[""].place.top if "" in parts else root)


class _Part:
    """The photographs of one place, with their annotations and masks."""

    def __init__(self, split: str, place: Place, annotated: bool) -> None:
        self.prefix, self.place = f"{split}/" if split else "", place
        flat = place.images == place.top
        listing = list_files(place.images, SUFFIXES | {".xml"} if place.xml == place.images else SUFFIXES)
        skipped = _not_ours(place.top) if flat else ()
        self.files = [
            file for file in listing.files
            if not file.lower().endswith(".xml") and file.partition("/")[0] not in skipped
        ]  # fmt: skip
        self._listed = [
            one for one in listing.problems
            if not (flat and (one.source.lower().endswith(_TEXTS) or _first(place.top, one.source) in skipped))
        ]  # fmt: skip
        self.names = Names(self.files, f"{place.images.name}/")
        xml = XmlFiles(place.xml, self.names) if annotated and place.xml is not None else None
        self.xml = None if xml is None or not xml.paths else xml
        """The annotations, where tags come from them."""

    @property
    def problems(self) -> list[Problem]:
        """Return what the listing left out, and annotations of no photograph."""
        beside = self.place.xml == self.place.images  # then its listing has named files of other kinds
        return [*self._listed, *(() if self.xml is None else self.xml.strays(beside))]

    def object_names(self, progress: Progress) -> Iterator[str]:
        """Yield the classes of all objects, repeated as they occur."""
        if self.xml is None:
            return
        paths = self.xml.paths
        for number, path in enumerate(paths, start=1):
            if number % 500 == 0 or number == len(paths):
                progress(Step("open", number, len(paths)))
            if not isinstance(annotation := self.xml.read(path), str):
                yield from (name for _, name in annotation.objects)

    def masks(self, table: VocTable, draft: Draft) -> dict[str, MaskFile]:
        """Return the ground-truth masks by the photographs' names."""
        if (storage := table.storage) is None:
            return {}
        names, found = [name_of(file, SUFFIXES) for file in self.files], dict[str, MaskFile]()
        for folder in self.place.mask_folders:
            masks = draft.masks(folder, names)
            found |= {self.prefix + name: MaskFile(path, storage, table.source) for name, path in masks.items()}
        return found

    def notes(self, table: VocTable) -> list[str]:
        """Return decisions for this place."""
        found = [f"{self.place.top} is read; so could be {other}, with --data" for other in other_years(self.place)]
        if table.storage is None and self.place.mask_folders:
            folder = self.place.mask_folders[-1]
            found.append(f"masks in {folder} are not read: write classes.txt with the class of each number")
        return [*found, *([] if self.xml is None else self.xml.notes)]


def _places(root: Path) -> dict[str, Place]:
    if places := voc_places(root):
        return places
    if (top := base(root, INNER, "JPEGImages")) is not None:
        return {"": Place(top, top / "JPEGImages", None)}
    if list_files(root, frozenset({".xml"})).files:
        return {"": Place(root, root, root)}
    raise DataError(
        f"{root}: expected a folder JPEGImages in it, or photographs with XML files in Annotations/ or beside them; "
        "give the folder VOC2012, or the one that an annotation tool wrote"
    )


def _not_ours(root: Path) -> set[str]:
    """Return folders beside photographs that hold masks, or results of dhr."""
    return {one.name for one in folders_of(root) if one.name in _NO_PHOTOGRAPHS or (one / "run.json").is_file()}


def _first(top: Path, source: str) -> str:
    """Return the first folder of a path below ``top``."""
    return source[len(str(top)) :].replace("\\", "/").lstrip("/").partition("/")[0]


def _wanted(root: Path, split: str, part: _Part, problems: list[Problem]) -> set[str]:
    """Return the photographs of a split: those of a list, or of a folder among the photographs."""
    folders = sorted({file.partition("/")[0] for file in part.files if "/" in file})
    try:
        path = _list(part.place, root, split)
    except DataError:
        if not any(split.casefold() == name.casefold() or split_of(name) for name in folders):
            raise
        chosen = chosen_split(root, split, folders)
        return {file for file in part.files if file.startswith(f"{chosen}/")}
    return listed_files(path, part.names, problems)


def _list(place: Place, root: Path, split: str) -> Path:
    folders = [*place.lists, root]
    known = {path.stem: path for folder in reversed(folders) for path in folder.glob("*.txt")}
    others = {Path(name).stem for name in (*CLASS_FILES, *LABEL_FILES)}
    for name in (split, split.replace("_", ""), "train_aug" if split == "trainaug" else split):
        if name in known and name not in others:
            return known[name]
    lists = [name for name in known if ("_" not in name or "aug" in name) and name not in others]
    raise no_split(root, split, lists)


def _table(folders: Sequence[Path], parts: Mapping[str, _Part], progress: Progress) -> VocTable:
    """Return the class table of a file in ``folders``, else of the annotations of all splits."""
    if any((folder / name).is_file() for folder in folders for name in CLASS_FILES):
        return voc_table(folders, ())
    names = [name for part in parts.values() for name in part.object_names(progress)]
    annotated = [part.xml for part in parts.values() if part.xml is not None]
    if annotated and not names:
        why = summary([one for xml in annotated for one in xml.broken], 3) or "they have no objects"
        raise DataError(f"{folders[-1]}: the annotations name no class: {why}; correct them, or write classes.txt")
    return voc_table(folders, names)


def _of_masks(
    files: Sequence[str], masks: Mapping[str, MaskFile], progress: Progress, prefix: str
) -> Callable[[str], Tagged]:
    stems = [name_of(file, SUFFIXES) for file in files]
    own = {stem: masks[prefix + stem] for stem in stems if prefix + stem in masks}
    of_mask = tags_of_masks(own, progress)
    nothing = Tagged(reason="neither an annotation nor a mask of it, to take tags from; add Annotations/NAME.xml")
    return lambda file: of_mask(file) if name_of(file, SUFFIXES) in own else nothing


VOC = Reader(
    "JPEGImages/ with Annotations/, SegmentationClass/ or cls_labels.json, or photographs with XML files",
    lambda root: bool(voc_places(root)),
    read_voc,
    published=True,
    needs=(("JPEGImages",), ("Annotations", "SegmentationClass", "cls_labels.json")),
)
