"""Where the parts of a published data set lie: its folder may be given, or one above it."""

from collections.abc import Sequence
from pathlib import Path

from dhr.data.classes import enumeration, read_text
from dhr.errors import DataError
from dhr.files import open_regular


def base(root: Path, folders: Sequence[str], inner: str) -> Path | None:
    """``root`` or the first of its ``folders`` that holds a folder ``inner``."""
    return next((root / folder for folder in ("", *folders) if (root / folder / inner).is_dir()), None)


def first_folder(root: Path, *folders: str) -> Path | None:
    """The first of ``folders`` that there is below ``root``."""
    return next((root / folder for folder in folders if (root / folder).is_dir()), None)


def no_split(root: Path, split: str, known: Sequence[str]) -> DataError:
    """The error of a split that does not exist."""
    return DataError(f"{root}: no split {split!r}; there are {enumeration(sorted(known), most=20) or 'none'}")


def read_list(path: Path) -> dict[str, int]:
    """Names in a list of photographs, and the line of each: the first word of a line, without folders and suffix.

    Lists of pairs (``/JPEGImages/a.jpg /SegmentationClassAug/a.png``) name the same photographs.
    """
    names: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if words := line.split():
            name = words[0].replace("\\", "/").rpartition("/")[2]
            stem, dot, suffix = name.rpartition(".")
            names.setdefault(stem if dot and suffix.lower() in ("jpg", "jpeg", "png") else name, number)
    return names


def head_of(path: Path, most: int = 4096) -> bytes:
    """The first bytes of a file, in which its kind shows itself.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read(most)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; check the permissions") from error
