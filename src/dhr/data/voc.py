"""PASCAL VOC's layout: as it is published, with the additions of the field, or with classes of one's own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dhr.data.ground_truth import MaskFile, ground_truth_files
from dhr.data.image_labels import LABEL_FILES, tags_of_labels
from dhr.data.images import SUFFIXES
from dhr.data.listing import Names, list_files, name_of
from dhr.data.mask_tags import tags_of_masks
from dhr.data.places import base, chosen_split, folders_of, listed_files, no_split, split_of
from dhr.data.problems import summary
from dhr.data.samples import Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import TagReader
from dhr.data.voc_classes import CLASS_FILES, VocTable, voc_table
from dhr.data.voc_places import INNER, MASK_FOLDERS, Place, other_years, voc_places
from dhr.data.voc_xml import Tagged
from dhr.data.xml_files import XmlFiles
from dhr.errors import DataError
from dhr.progress import Progress, Step

_TEXTS = (".txt", ".md")  # beside photographs: class names, a tool's read-me
_NO_PHOTOGRAPHS = (*MASK_FOLDERS, "SegmentationObject", "ImageSets", "truth")


def fits_voc(root: Path) -> bool:
    """Whether there are photographs and something that labels them as VOC does; see :func:`voc_places`."""
    return bool(voc_places(root))


def read_voc(root: Path, split: str | None, progress: Progress, ignore_unknown: bool = False) -> StoredDataSet:
    """Read VOC's layout.

    Tags come from ``cls_labels.json`` (or ``.txt``) if there is one, else from the annotations, else from the masks.
    Ground truth is ``SegmentationClass/``, and ``SegmentationClassAug/`` (SBD) for photographs without one. Classes are
    those of :func:`~dhr.data.voc_classes.voc_table`.

    Raises:
        DataError: the folder has not this layout, there is no such split, or no photograph is usable.
    """
    places = _places(root)
    labels = _label_file([*(place.top for place in places.values()), root])
    parts = {name: _Part(name, place, annotated=labels is None) for name, place in places.items()}
    chosen, wanted = parts, None
    problems: list[Problem] = []
    if split is not None and "" not in parts:
        split = chosen_split(root, split, list(parts))
        chosen = {split: parts[split]}
    elif split is not None:
        wanted = _wanted(root, split, parts[""], problems)
    table = _table(list(dict.fromkeys([*(part.place.top for part in parts.values()), root])), parts, progress)
    reader = TagReader(table.classes, table.listed_in)
    notes = [] if table.note is None else [table.note]
    found: list[Found] = []
    stray: list[Problem] = []
    for part in chosen.values():
        masks, more = part.masks(table)
        stray += more
        files = [file for file in part.files if wanted is None or file in wanted]
        if labels is not None:
            tags_of = _of_list(labels, table, part.names, reader, problems if wanted is None else None)
        elif part.xml is not None:
            tags_of = partial(part.xml.tagged, read=reader)
        else:
            tags_of = _of_masks(files, masks, progress)
        if wanted is None:
            problems += part.problems
        for file in files:
            path, tagged = part.place.images / file, tags_of(file)
            found.append(
                Found(part.name_of(file), str(path), path, tagged.tags, masks.get(file), tagged.reason, tagged.unread)
            )
        notes += part.notes(table)
    notes += reader.notes
    where = str(parts[""].place.top if "" in parts else root) + ("" if split is None else f" in split {split!r}")
    remedy = "put photographs into JPEGImages/"
    return StoredDataSet(where, table.classes, found, problems, remedy, notes, ignore_unknown, stray_ground_truth=stray)


class _Part:
    """The photographs of one place, and what lies beside them."""

    def __init__(self, split: str, place: Place, annotated: bool) -> None:
        self._split, self.place = split, place
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
        """What the listing left out, and annotations of no photograph."""
        beside = self.place.xml == self.place.images  # then its listing has named files of other kinds
        return [*self._listed, *(() if self.xml is None else self.xml.strays(beside))]

    def name_of(self, file: str) -> str:
        """The sample's name."""
        name = name_of(file, SUFFIXES)
        return f"{self._split}/{name}" if self._split else name

    def object_names(self, progress: Progress) -> Iterator[str]:
        """The classes of all objects, as often as they come."""
        if self.xml is None:
            return
        paths = self.xml.paths
        for number, path in enumerate(paths, start=1):
            if number % 500 == 0 or number == len(paths):
                progress(Step("open", number, len(paths)))
            if not isinstance(annotation := self.xml.read(path), str):
                yield from (name for _, name in annotation.objects)

    def masks(self, table: VocTable) -> tuple[dict[str, MaskFile], list[Problem]]:
        """The truth masks by photograph, and files that are the mask of none."""
        found: dict[str, MaskFile] = {}
        stray: list[Problem] = []
        if (storage := table.storage) is None:
            return found, stray
        by_name = {name_of(file, SUFFIXES): file for file in self.files}
        for folder in self.place.mask_folders:
            matched = ground_truth_files(folder, by_name)
            stray += matched.stray
            found |= {by_name[name]: MaskFile(path, storage, table.source) for name, path in matched.by_name.items()}
        return found, stray

    def notes(self, table: VocTable) -> list[str]:
        """What was decided here, for whoever opens the data set."""
        found = [f"{self.place.top} is read; so could be {other}, with --data" for other in other_years(self.place)]
        if table.storage is None and self.place.mask_folders:
            folder = self.place.mask_folders[-1]
            found.append(f"masks in {folder} are not read: write classes.txt, which says what class each number is")
        if self.xml is not None and (other := self.xml.other_filenames):
            found.append(other)
        return found


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
    """Folders beside photographs that hold masks, or what dhr wrote."""
    return {one.name for one in folders_of(root) if one.name in _NO_PHOTOGRAPHS or (one / "run.json").is_file()}


def _first(top: Path, source: str) -> str:
    """The first folder of a path below ``top``."""
    return source[len(str(top)) :].replace("\\", "/").lstrip("/").partition("/")[0]


def _wanted(root: Path, split: str, part: _Part, problems: list[Problem]) -> set[str]:
    """The photographs of a split: those of a list, or of a folder among the photographs."""
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


def _label_file(folders: Sequence[Path]) -> Path | None:
    """A list of the labels of all photographs."""
    return next((folder / name for folder in folders for name in LABEL_FILES if (folder / name).is_file()), None)


def _table(folders: Sequence[Path], parts: Mapping[str, _Part], progress: Progress) -> VocTable:
    """The class table: of a file in ``folders``, else of the annotations of all parts, the same for every split."""
    if any((folder / name).is_file() for folder in folders for name in CLASS_FILES):
        return voc_table(folders, ())
    names = [name for part in parts.values() for name in part.object_names(progress)]
    annotated = [part.xml for part in parts.values() if part.xml is not None]
    if annotated and not names:
        why = summary([one for xml in annotated for one in xml.broken], 3) or "they have no objects"
        raise DataError(f"{folders[-1]}: the annotations name no class: {why}; correct them, or write classes.txt")
    return voc_table(folders, names)


def _of_masks(files: Sequence[str], masks: Mapping[str, MaskFile], progress: Progress) -> Callable[[str], Tagged]:
    of_mask = tags_of_masks({file: masks[file] for file in files if file in masks}, progress)
    nothing = Tagged((), "neither an annotation nor a mask of it, to take tags from; add Annotations/NAME.xml")
    return lambda file: Tagged(*of_mask(file)) if file in masks else nothing


def _of_list(
    path: Path, table: VocTable, names: Names, reader: TagReader, problems: list[Problem] | None
) -> Callable[[str], Tagged]:
    of_label = tags_of_labels(path, table.classes, names, reader, problems)
    return lambda file: Tagged(*of_label(file))
