"""Folders of masks as images: PNG of any kind, and TIFF label images of napari, QuPath and Fiji."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile

from dhr.data.image_files import MAX_PIXELS, Content, decoding, opened
from dhr.data.images import PNG_CODING
from dhr.data.listing import list_files, name_of
from dhr.data.names import Entry
from dhr.data.numbering import Numbering, numbering
from dhr.data.outlines import Size
from dhr.data.samples import Problem
from dhr.errors import DataError, ItemError
from dhr.imports.drawing import Drawing, Drawings
from dhr.imports.target import FREE, Target
from dhr.progress import Progress
from dhr.shards import out_of_shard
from dhr.words import printable

_TIFF = frozenset({".tif", ".tiff"})
_IMAGES = frozenset({".png"}) | _TIFF


def read_mask_images(file: Path, target: Target, progress: Progress) -> Drawings:
    """Read the masks of a folder: by number, by colour where they are RGB or of a sorted palette.

    Numbers are those of ``classes.txt`` in the folder or beside it, else of the run. Pixels of a background that the
    run does not have are free.
    """
    if not file.is_dir():
        hint = "unpack the archive" if file.is_file() else "check the path"
        raise DataError(f"{file}: expected a folder of masks in PNG or TIFF, found none; {hint}")
    found, listing = Drawings(), list_files(file, _IMAGES)
    entries = [Entry(out_of_shard(name_of(one, _IMAGES)), str(file / one), one) for one in listing.files]
    by_photograph = target.names().match(file, entries, found.problems)
    masks = {photograph: files[0] for photograph, files in by_photograph.items() if len(files) == 1}
    for photograph, files in by_photograph.items():
        if len(files) > 1:
            reason = f"{' and '.join(map(printable, files[:3]))} are masks of it; keep one of them"
            found.problems.append(Problem(target.samples[photograph].name, reason))
    examples = [(file / one, target.samples[photograph].tags) for photograph, one in masks.items()]
    numbers = numbering(target.classes, file, examples, FREE)
    found.notes += numbers.all_notes
    found.by_number = numbers.own is target.classes
    for photograph, one in masks.items():
        found.found.append(Drawing(target.samples[photograph], _Reader(file / one, numbers).read, "unknown"))
    return found


class _Reader:
    """Reads one mask."""

    def __init__(self, path: Path, numbers: Numbering) -> None:
        self._path, self._numbers = path, numbers

    def read(self, shape: Size) -> UInt8[np.ndarray, "h w"]:
        """Return class ids of the run; see :meth:`~dhr.data.numbering.Numbering.read`."""
        tiff = self._path.suffix.lower() in _TIFF
        return self._numbers.read(as_png(self._path, shape) if tiff else self._path, shape)


def as_png(path: Path, shape: Size) -> Content:
    """Return a TIFF as the PNG with the same numbers or colours, which is read with the same care.

    Raises ItemError if it cannot be read, is not of the height and width ``shape``, or holds several pictures, or
    numbers that a PNG cannot hold.
    """
    with opened(path, MAX_PIXELS) as image:
        if (image.height, image.width) != shape:
            raise ItemError(
                f"{path}: expected a mask of {shape[1]}x{shape[0]} pixels (width x height) as its photograph, got "
                f"{image.width}x{image.height}; resize it without interpolation, or check that it is the right one"
            )
        with decoding(path):
            if _has_more(image):
                raise ItemError(f"{path}: expected one picture, got several; save the mask alone")
            file = io.BytesIO()
            _storable(path, image).save(file, format="PNG", **PNG_CODING)
    return Content(str(path), file.getvalue())


def _has_more(image: ImageFile.ImageFile) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _storable(path: Path, image: ImageFile.ImageFile) -> Image.Image:
    image.load()
    if image.mode in ("L", "P", "RGB", "RGBA", "LA"):
        return image
    if not image.mode.startswith("I"):
        raise ItemError(
            f"{path}: expected whole numbers, got the kind {image.mode!r} of Pillow; save it with 8 or 16 bits"
        )
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ItemError(f"{path}: expected numbers of classes, got {values.min()} to {values.max()}; correct it")
    return Image.fromarray(values.astype(np.uint16))
