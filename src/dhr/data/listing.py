"""List the files of a folder fast, without opening them."""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dhr.data.samples import Problem
from dhr.words import printable

# Files and folders of systems and archives, in lower case: thumbnails, settings, waste.
_SYSTEM = frozenset(
    {
        "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
        "ehthumbs.db", "desktop.ini", "icon\r",
    }
)  # fmt: skip


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is hidden, or was left there by a system or an archive.

    >>> [is_hidden(name) for name in (".DS_Store", "__MACOSX", "@eaDir", "Thumbs.db", "a.jpg")]
    [True, True, True, True, False]
    """
    return name.startswith(".") or name.casefold() in _SYSTEM


@dataclass(frozen=True)
class Listing:
    """The files below a folder."""

    files: tuple[str, ...]
    """Relative POSIX paths as on the disk, sorted."""
    problems: tuple[Problem, ...]
    """Other files, except hidden ones."""


def list_files(root: Path, suffixes: frozenset[str]) -> Listing:
    """List files with one of ``suffixes`` (in lower case; files match in any case), sub-folders included.

    Hidden files and folders, and those of systems (:func:`is_hidden`), are ignored. Links to files are followed: data
    sets are often built with them, and nothing is ever written beside them. Links to folders are not followed: they can
    form circles.
    """
    files: list[str] = []
    problems: list[Problem] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if is_hidden(entry.name):
                        continue
                    relative = folder + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(relative + "/")
                    elif reason := _refusal(entry, suffixes):
                        problems.append(Problem(str(root / relative), reason))
                    else:
                        files.append(relative)
        except OSError as error:
            problems.append(
                Problem(
                    str(root / folder),
                    f"the folder cannot be listed: {error.strerror or error}; check the permissions",
                )
            )
    return Listing(tuple(sorted(files)), tuple(sorted(problems, key=lambda problem: problem.source)))


def name_of(relative: str, suffixes: frozenset[str]) -> str:
    """Return a relative path without its suffix, if it is one of ``suffixes``.

    >>> name_of("trip/a.v2.JPG", frozenset({".jpg"})), name_of("trip/a.v2", frozenset({".jpg"}))
    ('trip/a.v2', 'trip/a.v2')
    """
    stem, dot, suffix = relative.rpartition(".")
    return stem if dot and (dot + suffix).lower() in suffixes else relative


def key_of(path: str) -> str:
    """Return a relative path as it is compared: ``/`` between parts, no ``./``, Unicode's composed form (macOS stores
    another).
    """
    path = path.replace("\\", "/")
    if "./" in path or "//" in path:  # rare, and slow
        path = PurePosixPath(path).as_posix()
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def mask_key(name: str) -> str:
    """Return the name of a mask as file systems compare it that ignore case and Unicode's forms; two photographs must
    not share it.
    """
    return key_of(name).casefold()


def overwritten(others: Sequence[str]) -> str:
    """Explain why photographs whose masks share a name are left out."""
    return f"its mask would overwrite that of {', '.join(repr(other) for other in others[:3])}; rename them"


def escapes(path: str) -> bool:
    """Tell whether a path written by a person is absolute or may lead out of its folder.

    >>> escapes("../a.jpg"), escapes("C:/a.jpg"), escapes("trip/a.jpg")
    (True, True, False)
    """
    path = path.replace("\\", "/")
    return path.startswith("/") or re.match("[A-Za-z]:", path) is not None or ".." in path.split("/")


MOST_BYTES = 255 - len(".safetensors")
"""Length of a photograph's own name without suffix, in UTF-8: file systems take 255 bytes, and the longest file that
is called after a photograph has this ending."""


def too_long(name: str) -> str | None:
    """Explain why a photograph's name is too long for the files that are named after it; None if it is not.

    >>> too_long("trip/a"), too_long("a" * 250)
    (None, 'its name takes 250 bytes without suffix, and files called after it may take 243; shorten it')
    """
    size = len(name.rpartition("/")[2].encode("utf-8", "surrogateescape"))
    if size <= MOST_BYTES:
        return None
    return f"its name takes {size} bytes without suffix, and files called after it may take {MOST_BYTES}; shorten it"


def _refusal(entry: "os.DirEntry[str]", suffixes: frozenset[str]) -> str | None:
    if not entry.is_file():  # without a system call, except for links
        if entry.is_symlink():
            return (
                "a link to a folder is not followed; link its files"
                if entry.is_dir()
                else "a link that leads nowhere; correct or remove it"
            )
        return "not a regular file; remove it"
    if name_of(entry.name, suffixes) == entry.name:
        return f"not an image ({' '.join(sorted(suffixes))}); convert it or remove it"
    if printable(entry.name) != entry.name:
        return "the file name has control characters or is not UTF-8; rename it"
    return None
