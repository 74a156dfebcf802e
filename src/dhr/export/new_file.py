"""A file that replaces an earlier export, and nothing else."""

from pathlib import Path

from dhr.errors import OutputError


def check_replaceable(out: Path, start: bytes) -> None:
    """Pass if there is nothing at ``out``, or a file that begins with ``start``, as exports of the same kind do.

    Raises:
        OutputError: there is something else, or it cannot be read.
    """
    try:
        if out.is_dir():
            raise OutputError(f"{out} is a folder, this format makes a file; name a file with --out")
        if not out.exists():
            return
        with out.open("rb") as file:
            found = file.read(len(start))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; choose another file") from error
    if found != start:
        raise OutputError(f"{out} is there already, and no export of this kind; choose another --out, or delete it")
