"""One folder a class, as image classifiers are trained from."""

from pathlib import Path

from dhr.data.class_names import class_of, table_of
from dhr.data.classes import BACKGROUND, enumeration
from dhr.data.folder import class_file
from dhr.data.images import SUFFIXES
from dhr.data.listing import list_files, name_of
from dhr.data.mask_tags import Progress
from dhr.data.places import no_split
from dhr.data.samples import Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.truth import MaskFile, plain
from dhr.errors import DataError

_SPLITS = ("train", "val", "valid", "validation", "test")
_OTHER = ("truth", "splits")
_OTHER_LAYOUTS = ("images", "image", "JPEGImages", "annotations", "Annotations", "masks")


def _folders(root: Path) -> list[Path]:
    """Folders that hold photographs, or folders of them."""
    found = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
    return [path for path in found if path.name not in _OTHER and not (path / "run.json").is_file()]


def _splits(root: Path) -> list[str]:
    names = [path.name for path in _folders(root)]
    return names if names and all(name in _SPLITS for name in names) else []


def _holds_photographs(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES and path.is_file() for path in folder.iterdir())


def fits_class_folders(root: Path) -> bool:
    """Whether there are folders of photographs and no photograph beside them."""
    tops = [root / name for name in _splits(root)] or [root]
    if any((top / name).is_dir() for top in tops for name in _OTHER_LAYOUTS):
        return False
    return all(
        (folders := _folders(top)) and all(_holds_photographs(one) for one in folders) and not _holds_photographs(top)
        for top in tops
    )


def read_class_folders(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
    """Read ``ROOT/CLASS/*.jpg`` or ``ROOT/SPLIT/CLASS/*.jpg``; the folder's name is the only tag of its photographs.

    Class 0 is the background and the others are the folders' names in the order of the alphabet, unless ``classes.txt``
    says otherwise. ``truth/CLASS/NAME.png`` holds truth masks, if any.

    Raises:
        DataError: the folder has not this layout, there is no such split, or no photograph is usable.
    """
    splits = _splits(root)
    if split is not None and split not in splits:
        raise no_split(root, split, splits)
    tops = {name: root / name for name in ([split] if split else splits)} or {"": root}
    folders = [(top, folder) for top in (tops.values()) for folder in _folders(top)]
    every = sorted({folder.name for top in ([root / name for name in splits] or [root]) for folder in _folders(top)})
    classes = class_file(root) or table_of([name for name in every if name.casefold() != BACKGROUND], root)
    unknown = [folder.name for _, folder in folders if class_of(folder.name) not in classes.names]
    if len(unknown) == len(folders):
        raise DataError(f"{root}: expected a folder for each class, got {enumeration(unknown) or 'none'}")
    storage, found, problems = plain(classes), [], list[Problem]()
    for top, folder in folders:
        listed = list_files(folder, SUFFIXES)
        problems += listed.problems
        for file in listed.files:
            name = f"{folder.name}/{name_of(file, SUFFIXES)}" if split or not splits else (
                f"{top.name}/{folder.name}/{name_of(file, SUFFIXES)}"
            )  # fmt: skip
            reason, tags = None, tuple[int, ...]()
            if folder.name in unknown:
                reason = f"its folder {folder.name!r} is no class of classes.txt; add it, or rename the folder"
            elif (label := classes.names.index(class_of(folder.name))) in classes.foreground:
                tags = (label,)  # else a negative
            mask = root / "truth" / f"{name}.png"
            truth = MaskFile(mask, storage) if mask.is_file() else None
            found.append(Found(name, str(folder / file), folder / file, tags, truth, reason))
    return StoredDataSet(str(root), classes, found, problems, "put photographs into a folder for each class")
