"""A file that replaces an earlier export, and nothing else."""

from pathlib import Path

from dhr.errors import OutputError
from dhr.files import check_output, is_stream, open_regular


def check_replaceable(out: Path, start: bytes) -> None:
    """Pass if there is nothing at ``out``, a pipe, or a file that begins with ``start``, as exports of its kind do.

    Raises:
        OutputError: there is something else, or it cannot be read.
    """
    if is_stream(out):
        return
    try:
        if out.is_dir():
            raise OutputError(f"{out} is a folder, this format makes a file; name a file with --out")
        check_output(out)
        if not out.exists():
            return
        with open_regular(out) as file:
            found = file.read(len(start))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; choose another file") from error
    if found != start:
        raise OutputError(f"{out} is there already, and no export of this kind; choose another --out, or delete it")
