"""The files of a folder, listed fast and without opening them."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dhr.data.classes import enumeration
from dhr.data.images import SUFFIXES
from dhr.data.samples import Problem

# Control characters, other line ends, bytes that are not UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Listing:
    """Files below a folder."""

    files: tuple[str, ...]
    """Relative POSIX paths as on the disk, sorted."""
    problems: tuple[Problem, ...]
    """What was passed over, hidden files apart."""


def list_files(root: Path, suffixes: frozenset[str]) -> Listing:
    """List files with one of ``suffixes`` (in lower case; files match in any case), sub-folders included.

    Hidden files and folders are passed over in silence. Links to files are followed: they are often used to build a
    data set out of others, and nothing is ever written beside them. Links to folders are not: they can go round in
    circles.
    """
    files: list[str] = []
    problems: list[Problem] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    relative = folder + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(relative + "/")
                    elif reason := _refusal(entry, suffixes):
                        problems.append(Problem(printable(str(root / relative)), reason))
                    else:
                        files.append(relative)
        except OSError as error:
            problems.append(
                Problem(
                    printable(str(root / folder)),
                    f"the folder cannot be listed: {error.strerror or error}; check the permissions",
                )
            )
    return Listing(tuple(sorted(files)), tuple(sorted(problems, key=lambda problem: problem.source)))


def name_of(relative: str, suffixes: frozenset[str]) -> str:
    """A relative path without its suffix, if it is one of ``suffixes``.

    >>> name_of("trip/a.v2.JPG", frozenset({".jpg"})), name_of("trip/a.v2", frozenset({".jpg"}))
    ('trip/a.v2', 'trip/a.v2')
    """
    stem, dot, suffix = relative.rpartition(".")
    return stem if dot and (dot + suffix).lower() in suffixes else relative


def key_of(path: str) -> str:
    """How relative paths are compared: ``/`` between parts, no ``./``, one Unicode form (Macs' disks have another)."""
    path = path.replace("\\", "/")
    if "./" in path or "//" in path:  # rare, and slow
        path = PurePosixPath(path).as_posix()
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def escapes(path: str) -> bool:
    """Whether a path written by a person is absolute or may lead out of its folder.

    >>> escapes("../a.jpg"), escapes("C:/a.jpg"), escapes("trip/a.jpg")
    (True, True, False)
    """
    path = path.replace("\\", "/")
    return path.startswith("/") or re.match("[A-Za-z]:", path) is not None or ".." in path.split("/")


def printable(text: str) -> str:
    """The text in one line, fit for any output.

    >>> printable("a\\nb.png")
    'a\ufffdb.png'
    """
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


class Names:
    """Finds the files of a listing that a name in an annotation means, with or without suffix.

    Only files that were listed are ever found, so that no name leads out of the folder.
    """

    def __init__(self, files: Sequence[str], folder: str = "images/") -> None:
        self._folder = folder
        self._by_file: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_mask: dict[str, list[str]] = defaultdict(list)
        for file in files:
            key = key_of(file)
            self._by_file[key].append(file)
            self._by_name[name_of(key, SUFFIXES)].append(file)
            self._by_mask[name_of(key, SUFFIXES).casefold()].append(file)  # one file on disks that ignore case

    def find(self, text: str) -> tuple[list[str], str | None]:
        """The files, or why there is none. Several bear the same name: they clash, and are refused later."""
        if escapes(text):
            return (
                [],
                f"expected a path relative to {self._folder}, got one that may lead out of it; write it without '..'",
            )
        key = key_of(text)
        if found := self._by_file.get(key) or self._by_name.get(key):
            return found, None
        near = self._by_name.get(name_of(key, SUFFIXES)) or self._by_mask.get(name_of(key, SUFFIXES).casefold())
        hint = f"did you mean {enumeration(near, most=2)}?" if near else "add the image or remove the line"
        return [], f"no image {text!r} in {self._folder}; {hint}"

    def clash(self, file: str) -> list[str]:
        """The other files whose masks would have the same name."""
        same = self._by_mask[name_of(key_of(file), SUFFIXES).casefold()]
        return [other for other in same if other != file]


def _refusal(entry: "os.DirEntry[str]", suffixes: frozenset[str]) -> str | None:
    if not entry.is_file():  # without a system call, except for links
        if entry.is_symlink():
            return (
                "a link to a folder is not followed; link its files"
                if entry.is_dir()
                else "a link that leads nowhere; correct or remove it"
            )
        return "not a regular file; remove it"
    if _suffix(entry.name) not in suffixes:
        return f"not an image ({' '.join(sorted(suffixes))}); convert it or remove it"
    if _UNPRINTABLE.search(entry.name):
        return "the file name has control characters or is not UTF-8; rename it"
    return None


def _suffix(name: str) -> str:
    _, dot, suffix = name.rpartition(".")
    return (dot + suffix).lower()
