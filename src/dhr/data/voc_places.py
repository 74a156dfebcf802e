"""Find photographs and annotations of VOC's kind: as published, and as annotation tools write them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dhr.data.image_labels import LABEL_FILES
from dhr.data.images import SUFFIXES
from dhr.data.places import base, folder_named, folders_of, split_of
from dhr.data.voc_xml import is_annotation

INNER = ("VOC2012", "VOC2007", "VOCdevkit/VOC2012", "VOCdevkit/VOC2007")
"""Places of the folder in the download."""
_XML_FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")
MASK_FOLDERS = ("SegmentationClassPNG", "SegmentationClassAug", "SegmentationClass")
"""Folders of masks; of several masks the last counts, as it is the official one."""
_LOOKED_AT = 20  # XML files that are opened to see whether they are VOC's


@dataclass(frozen=True)
class Place:
    """Photographs with their annotations."""

    top: Path
    """The folder that holds everything."""
    images: Path
    xml: Path | None
    """The folder of annotations; it may be that of the photographs."""

    @property
    def mask_folders(self) -> list[Path]:
        """Return folders of masks, the one that counts most at the end."""
        return [self.top / name for name in MASK_FOLDERS if (self.top / name).is_dir()]

    @property
    def lists(self) -> list[Path]:
        """Return folders of lists of photographs, the one that counts most first."""
        inner = ("ImageSets/Segmentation", "ImageSets/Main", "ImageSets", "lists", "")
        return [self.top / name for name in inner if (self.top / name).is_dir()]


def voc_places(root: Path) -> dict[str, Place]:
    """Return the place in ``root`` under the empty name, or those of its splits by the names of their folders; else
    none.

    A place is ``JPEGImages/`` with annotations, masks or lists of labels; ``images/`` with a folder of annotations or
    of masks; photographs with annotations beside them; or folders called ``train``, ``valid`` and so on, each with one
    of these.
    """
    top = base(root, INNER, "JPEGImages")
    one = _published(top) if top is not None else _place(root)
    if one is not None:
        return {"": one}
    splits = {folder.name: folder for folder in folders_of(root) if split_of(folder.name) is not None}
    found = {name: _published(folder) or _place(folder) for name, folder in splits.items()}
    return {name: place for name, place in found.items() if place is not None}


def other_years(place: Place) -> list[Path]:
    """Return other years of VOC beside the one that is read."""
    if not place.top.name.startswith("VOC20"):
        return []
    years = [one for one in sorted(place.top.parent.glob("VOC20*")) if (one / "JPEGImages").is_dir()]
    return [one for one in years if one != place.top]


def _published(top: Path) -> Place | None:
    if not (top / "JPEGImages").is_dir() or (top / "SegmentationClassContext").is_dir():
        return None
    place = Place(top, top / "JPEGImages", _xml_folder(top))
    if place.xml is None and has_annotation(place.images):
        place = Place(top, place.images, place.images)
    labels = any((top / name).is_file() for name in LABEL_FILES)
    return place if place.xml is not None or place.mask_folders or labels else None


def _place(top: Path) -> Place | None:
    images = folder_named(top, "jpegimages", "images", "imgs", "img")
    if images is not None:
        xml = _xml_folder(top) or images
        if has_annotation(xml) and _has_photograph(images):
            return Place(top, images, xml)
        if (place := Place(top, images, None)).mask_folders and _has_photograph(images):
            return place
    if has_annotation(top, below=False) and _has_photograph(top, below=False):
        return Place(top, top, top)
    return None


def _xml_folder(top: Path) -> Path | None:
    outer = folder_named(top, *_XML_FOLDERS)
    if outer is None:
        return None
    inner = folder_named(outer, "xmls", "xml")
    return inner if inner is not None and not has_annotation(outer) else outer


def _has_photograph(folder: Path, below: bool = True) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in _files(folder, below))


def has_annotation(folder: Path, below: bool = True) -> bool:
    """Tell whether an annotation of VOC's kind is in a folder, or in one of the folders in it."""
    xml = (path for path in _files(folder, below) if path.suffix.lower() == ".xml")
    return any(is_annotation(path) for _, path in zip(range(_LOOKED_AT), xml, strict=False))


def _files(folder: Path, below: bool) -> Iterator[Path]:
    """Yield files of a folder, and of the folders in it (such as days or cameras)."""
    yield from (path for path in folder.iterdir() if path.is_file())
    for inner in folders_of(folder) if below else ():
        if not inner.is_symlink():
            yield from (path for path in inner.iterdir() if path.is_file())
