"""The files of a folder, listed fast and without opening them."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dhr.data.classes import enumeration
from dhr.data.images import SUFFIXES
from dhr.data.samples import Problem

# Control characters, other line ends, bytes that are not UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")


# What systems and archives leave beside people's files, in lower case: thumbnails, settings, waste.
_SYSTEM = frozenset(
    {
        "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
        "ehthumbs.db", "desktop.ini", "icon\r",
    }
)  # fmt: skip


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is nobody's own: hidden, or left there by a system or an archive.

    >>> [is_hidden(name) for name in (".DS_Store", "__MACOSX", "@eaDir", "Thumbs.db", "a.jpg")]
    [True, True, True, True, False]
    """
    return name.startswith(".") or name.casefold() in _SYSTEM


@dataclass(frozen=True)
class Listing:
    """Files below a folder."""

    files: tuple[str, ...]
    """Relative POSIX paths as on the disk, sorted."""
    problems: tuple[Problem, ...]
    """What was passed over, hidden files apart."""


def list_files(root: Path, suffixes: frozenset[str]) -> Listing:
    """List files with one of ``suffixes`` (in lower case; files match in any case), sub-folders included.

    Hidden files and folders, and those of systems (:func:`is_hidden`), are passed over in silence. Links to files are
    followed: they are often used to build a data set out of others, and nothing is ever written beside them. Links to
    folders are not: they can go round in circles.
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
    """Finds the files of a listing that the names in annotations mean: the one place where names are matched.

    A name is compared from its end, part by part: ``C:\\shop\\images\\a.jpg`` means ``a.jpg`` or ``images/a.jpg``, and
    ``a.jpg`` means ``trip/a.jpg`` where there is only one. The longest match counts; the suffix of the image may be
    left out; Unicode's forms are alike. Only files that were listed are ever found, so that no name leads out of the
    folder.

    Args:
        files: relative POSIX paths.
        folder: where they are, for messages.
        uploads: whether names may be those of files uploaded to Label Studio. They lose their folder, get eight
            hexadecimal digits and a dash, and ``_`` for blanks, and lose other signs: ``upload/3/1a2b3c4d-my_a_1.jpg``
            means ``trip/my a (1).jpg``. Where a file bears such a name itself, that one is meant.
    """

    def __init__(self, files: Sequence[str], folder: str = "images/", uploads: bool = False) -> None:
        self._folder = folder
        self._by_file: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_mask: dict[str, list[str]] = defaultdict(list)
        self._by_end: dict[str, list[str]] = defaultdict(list)
        self._by_upload: dict[str, list[str]] = defaultdict(list)
        for file in files:
            key = key_of(file)
            self._by_file[key].append(file)
            self._by_name[name_of(key, SUFFIXES)].append(file)
            self._by_mask[name_of(key, SUFFIXES).casefold()].append(file)  # one file on disks that ignore case
            last = key.rpartition("/")[2]
            for end in {last, name_of(last, SUFFIXES)}:
                self._by_end[end].append(file)
            if uploads:
                self._by_upload[_as_uploaded(last)].append(file)

    def find(self, text: str) -> tuple[list[str], str | None]:
        """The files, or why there is none. Several bear the same name: they clash, and are refused later."""
        key = key_of(text.strip())
        parts = [part for part in key.split("/") if part not in ("", ".")]
        if found := self._longest(parts):
            return found, None
        if not parts:
            return [], f"expected the name of an image in {self._folder}, got {printable(text)!r}; write it"
        below = [file for file in self._by_end.get(parts[-1], ()) if _ends_with(key_of(file), "/".join(parts))]
        uploaded = (len(parts) == 1 or "upload" in parts) and _UPLOADED.match(parts[-1])
        relation = "end with"
        if not below and uploaded:
            relation = "may have been uploaded as"
            name = parts[-1][uploaded.end() :]
            below = (self._by_upload and self._by_file.get(name)) or self._by_upload.get(_as_uploaded(name), [])
        if len({name_of(key_of(file), SUFFIXES) for file in below}) == 1:
            return below, None
        if below:
            return (
                [],
                f"several files {relation} {printable(text)!r}: {enumeration(below, most=3)}; write more of its path",
            )
        return [], self._nothing(text, parts)

    def _longest(self, parts: Sequence[str]) -> list[str] | None:
        for start in range(len(parts)):
            rest = "/".join(parts[start:])
            if found := self._by_file.get(rest) or self._by_name.get(rest):
                return found
        return None

    def find_all(self, texts: Sequence[str]) -> list[tuple[list[str], str | None]]:
        """The files of each of the names of one annotation file, or why there are none.

        Names that differ in what precedes their match, and so mean different files elsewhere, are refused where they
        would mean the same file here: ``cats/1.jpg`` and ``dogs/1.jpg`` are not both ``1.jpg``.
        """
        found = [self.find(text) for text in texts]
        meant: dict[str, set[str]] = defaultdict(set)
        for text, (files, _) in zip(texts, found, strict=True):
            for file in files:
                meant[file].add(name_of(key_of(text.strip()), SUFFIXES))
        several = {file: sorted(names) for file, names in meant.items() if len(names) > 1 and not _nested(names)}
        return [
            (files, reason)
            if not (clash := next((several[file] for file in files if file in several), None))
            else (
                [],
                f"the names {enumeration(clash, most=3)} all match {files[0]!r}; write paths that tell them apart",
            )
            for files, reason in found
        ]

    def clash(self, file: str) -> list[str]:
        """The other files whose masks would have the same name."""
        same = self._by_mask[name_of(key_of(file), SUFFIXES).casefold()]
        return [other for other in same if other != file]

    def _nothing(self, text: str, parts: Sequence[str]) -> str:
        stem = name_of("/".join(parts), SUFFIXES)
        near = self._by_name.get(stem) or self._by_mask.get(stem.casefold()) or self._by_end.get(
            name_of(parts[-1], SUFFIXES)
        )  # fmt: skip
        hint = f"did you mean {enumeration(near, most=2)}?" if near else "add the image or remove the line"
        return f"no image {printable(text)!r} in {self._folder}; {hint}"


def _told_apart(files: Sequence[str], several: Mapping[str, Sequence[str]]) -> tuple[list[str], str] | None:
    """Why a match is refused: other names mean one of the files as well."""
    for file in files:
        if file in several:
            names = enumeration(several[file], most=3)
            return [], f"the names {names} all match {file!r}; write paths that tell them apart"
    return None


def _as_uploaded(name: str) -> str:
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _ends_with(file: str, end: str) -> bool:
    """Whether a path ends with ``end``, whole parts only, with or without its suffix."""
    return f"/{file}".endswith(f"/{end}") or f"/{name_of(file, SUFFIXES)}".endswith(f"/{end}")


def _nested(names: Iterable[str]) -> bool:
    """Whether each name is an end of the longest, so that all can mean the same file."""
    longest = max(names, key=len)
    return all(f"/{longest}".endswith(f"/{name.lstrip('/')}") for name in names)


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
