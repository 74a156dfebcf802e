"""CVAT, Label Studio and GeoJSON."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dhr.data.cvat import cvat_annotations, cvat_files
from dhr.data.geojson import IGNORED, read_geojson
from dhr.data.label_studio import label_studio_files, read_tasks
from dhr.data.listing import list_files, name_of
from dhr.data.samples import Problem
from dhr.errors import DataError
from dhr.imports.drawing import Drawings
from dhr.imports.shapes import Rules, add_annotations
from dhr.imports.target import Target
from dhr.progress import Progress

_GEOJSON = frozenset({".geojson", ".json"})


def read_cvat_masks(file: Path, target: Target, progress: Progress) -> Drawings:
    """Read "CVAT for images 1.1".

    An image without shapes is untouched. So is one whose shapes are those that ``dhr export`` wrote: CVAT gives shapes
    that were uploaded the source ``file`` (older versions keep ``auto``), until a person changes them.
    """
    files = _files(file, cvat_files, "annotations.xml of an export 'CVAT for images 1.1'")
    found, names = Drawings(), target.names()
    given = cvat_annotations(files, names)
    found.notes += given.notes
    add_annotations(found, given.annotations, names, target, Rules())
    return found


def read_label_studio_masks(file: Path, target: Target, progress: Progress) -> Drawings:
    """Read exports in JSON or JSON-MIN.

    Submitted annotations are of a person, also those in which nothing was changed. Predictions never count.
    """
    files = _files(file, label_studio_files, "Label Studio's export in JSON")
    found, names = Drawings(), target.names(uploads=True)
    tasks = read_tasks(files, names, progress)
    annotations, notes = tasks.annotated(target.classes.names)
    found.notes += notes
    found.untouched += tasks.predicted
    add_annotations(found, annotations, names, target, Rules(empty=True, by="person"))
    return found


def read_geojson_masks(file: Path, target: Target, progress: Progress) -> Drawings:
    """Read QuPath's GeoJSON, one file per photograph of its name; ``Ignore*`` is void."""
    found, names = Drawings(), target.names()
    files = list_files(file, _GEOJSON).files if file.is_dir() else (file.name,)
    if not files or not (file.is_dir() or file.is_file()):
        raise DataError(f"{file}: expected a GeoJSON file, or a folder of them, found none; check the path")
    folder = file if file.is_dir() else file.parent
    annotations = []
    for one in files:
        try:
            annotations.append(read_geojson(folder / one, name_of(one, _GEOJSON)))
        except DataError as error:
            if len(files) == 1:
                raise
            found.problems.append(Problem(one, str(error)))
    add_annotations(found, annotations, names, target, Rules(frozenset({IGNORED}), by="unknown", holds_void=True))
    return found


def _files(file: Path, inside: Callable[[Path], Sequence[Path]], wanted: str) -> Sequence[Path]:
    """Return the file, or those that a folder holds."""
    if file.suffix.lower() == ".zip" and file.is_file():
        raise DataError(f"{file}: expected {wanted}; got an archive, unpack it")
    found = inside(file) if file.is_dir() else [file] if file.is_file() else []
    if not found:
        raise DataError(f"{file}: expected {wanted}; found none")
    return found
