"""``classes.txt`` beside an export: formats name the classes, but few say whether there is a background."""

from pathlib import Path

from dhr.data.samples import ClassTable
from dhr.files import write_bytes


def write_class_names(folder: Path, classes: ClassTable) -> None:
    """Write the names of all classes, the background first where there is one, so that ``--data`` reads the same ids.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    write_bytes(folder / "classes.txt", "".join(f"{name}\n" for name in classes.names).encode())
