"""The files of a folder, listed fast and without opening them."""

import os
import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


def mask_key(name: str) -> str:
    """What two photographs must not share: the name of their masks, on disks that ignore case and Unicode's forms."""
    return key_of(name).casefold()


def overwritten(others: Sequence[str]) -> str:
    """Why photographs whose masks share a name are left out."""
    return f"its mask would overwrite that of {', '.join(repr(printable(other)) for other in others[:3])}; rename them"


def escapes(path: str) -> bool:
    """Whether a path written by a person is absolute or may lead out of its folder.

    >>> escapes("../a.jpg"), escapes("C:/a.jpg"), escapes("trip/a.jpg")
    (True, True, False)
    """
    path = path.replace("\\", "/")
    return path.startswith("/") or re.match("[A-Za-z]:", path) is not None or ".." in path.split("/")


MOST_BYTES = 255 - len(".safetensors")
"""Length of a photograph's own name without suffix, in UTF-8: file systems take 255 bytes, and the longest file that
is called after a photograph has this ending."""


def too_long(name: str) -> str | None:
    """Why a photograph of this name cannot be used, if it leaves no room for the files that are called after it.

    >>> too_long("trip/a"), too_long("a" * 250)
    (None, 'its name takes 250 bytes without suffix, and files called after it may take 243; shorten it')
    """
    size = len(name.rpartition("/")[2].encode("utf-8", "surrogateescape"))
    if size <= MOST_BYTES:
        return None
    return f"its name takes {size} bytes without suffix, and files called after it may take {MOST_BYTES}; shorten it"


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
    left out; Unicode's forms are alike, and so are letters in either case where one file only is meant. Only files that
    were listed are ever found, so that no name leads out of the folder.

    >>> names = Names(["a.jpg", "trip/b.jpg"])
    >>> names.find("images/a.jpg")[0], names.find("b")[0], names.find("../c.jpg")[0]
    (['a.jpg'], ['trip/b.jpg'], [])

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
        self._by_upload: dict[str, list[str]] = defaultdict(list)
        for file in files:
            key = key_of(file)
            self._by_file[key].append(file)
            self._by_name[name_of(key, SUFFIXES)].append(file)
            self._by_mask[mask_key(name_of(key, SUFFIXES))].append(file)
            if uploads:
                self._by_upload[_as_uploaded(key.rpartition("/")[2])].append(file)

    def find(self, text: str) -> tuple[list[str], str | None]:
        """The files, or why there is none. Several bear the same name: they clash, and are refused later."""
        parts = _parts(text)
        if not parts:
            return [], f"expected the name of an image in {self._folder}, got {printable(text)!r}; write it"
        found = self._longest(text, parts)
        uploaded = self._by_upload and (len(parts) == 1 or "upload" in parts) and _UPLOADED.match(parts[-1])
        if found is None and uploaded:
            name = parts[-1][uploaded.end() :]
            found = self._longest(text, [*parts[:-1], name]) or self._uploaded(text, name)
        for start in range(len(parts) if found is None else 0):
            same = self._folded.get("/".join(parts[start:]).casefold(), ())
            if len(same) == 1:
                return list(same), None
        return found or ([], self._nothing(text, parts))

    def _longest(self, text: str, parts: Sequence[str]) -> tuple[list[str], str | None] | None:
        """The files that share most parts with a path, or why they cannot be told; None if there is none."""
        whole = "/".join(parts)
        if found := self._named(whole):
            return found, None
        if below := self._ends.below(whole, most=4):
            if parts[0] == self._folder.rstrip("/"):  # it may be the folder of all, or one below it
                below += self._named("/".join(parts[1:])) or ()
            if len({name_of(key_of(file), SUFFIXES) for file in below}) == 1:
                return below, None
            names = enumeration(sorted(below), most=3)
            return [], f"several files end with {printable(text)!r}: {names}; write more of its path"
        for start in range(1, len(parts)):
            if found := self._named("/".join(parts[start:])):
                return found, None
        return None

    def _uploaded(self, text: str, name: str) -> tuple[list[str], str | None] | None:
        """The file that may have been uploaded under a name; None if there is none."""
        files = self._by_upload.get(_as_uploaded(name), [])
        if len({name_of(key_of(file), SUFFIXES) for file in files}) > 1:
            names = enumeration(sorted(files), most=3)
            return [], f"several files may have been uploaded as {printable(text)!r}: {names}; rename them"
        return (files, None) if files else None

    def find_all(self, texts: Sequence[str]) -> list[tuple[list[str], str | None]]:
        """The files of each of the names of one annotation file, or why there are none.

        Names that differ in what precedes their match, and so mean different files elsewhere, are refused where they
        would mean the same file here: ``cats/1.jpg`` and ``dogs/1.jpg`` are not both ``1.jpg``. So are names of which
        one is only an end of the file's: beside ``cats/1.jpg``, ``1.jpg`` may be a file that is missing.
        """
        found = [self.find(text) for text in texts]
        meant: dict[str, dict[str, str]] = defaultdict(dict)
        for text, (files, _) in zip(texts, found, strict=True):
            name = name_of("/".join(_parts(text)), SUFFIXES)
            for file in files:
                meant[file].setdefault(name.casefold(), name)
        several = {
            file: sorted(names.values())
            for file, names in meant.items()
            if len(names) > 1 and not _nested(names, name_of(key_of(file), SUFFIXES).casefold())
        }
        return [_told_apart(files, several) or (files, reason) for files, reason in found]

    def clash(self, file: str) -> list[str]:
        """The other files whose masks would have the same name."""
        same = self._by_mask[mask_key(name_of(key_of(file), SUFFIXES))]
        return [other for other in same if other != file]

    def _named(self, path: str) -> list[str] | None:
        return self._by_file.get(path) or self._by_name.get(path)

    @cached_property
    def _ends(self) -> "_Ends":
        return _Ends({key: files for keys in (self._by_name, self._by_file) for key, files in keys.items()})

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        """Files by path in lower case, with and without suffix."""
        found: dict[str, list[str]] = defaultdict(list)
        for keys in (self._by_file, self._by_name):
            for key, files in keys.items():
                found[key.casefold()] += files
        return found

    def _nothing(self, text: str, parts: Sequence[str]) -> str:
        stem = name_of("/".join(parts), SUFFIXES)
        near = self._by_name.get(stem) or self._by_mask.get(stem.casefold()) or self._ends.below(
            name_of(parts[-1], SUFFIXES), most=2
        )  # fmt: skip
        hint = f"did you mean {enumeration(near, most=2)}?" if near else "add the image or remove the line"
        return f"no image {printable(text)!r} in {self._folder}; {hint}"


class _Ends:
    """Finds paths by their last parts, in a time that hardly grows with their number."""

    def __init__(self, files: Mapping[str, Sequence[str]]) -> None:
        self._files = files
        self._backwards = sorted(path[::-1] for path in files)

    def below(self, end: str, most: int) -> list[str]:
        """Up to ``most`` files whose path ends with ``/end``."""
        found: dict[str, None] = {}
        for at in range(bisect_left(self._backwards, end[::-1] + "/"), len(self._backwards)):
            path = self._backwards[at][::-1]
            if not path.endswith(f"/{end}") or len(found) >= most:
                break
            found.update(dict.fromkeys(self._files[path]))
        return list(found)


def _parts(text: str) -> list[str]:
    """The parts of a path written by a person; ``..`` takes the part before it away."""
    parts: list[str] = []
    for part in key_of(text.strip()).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _nested(names: Iterable[str], own: str) -> bool:
    """Whether each name ends with ``own``, and is an end of the longest, so that all can mean the same file."""
    longest = max(names, key=len)
    return all(f"/{name}".endswith(f"/{own}") and f"/{longest}".endswith(f"/{name}") for name in names)


def _told_apart(files: Sequence[str], several: Mapping[str, Sequence[str]]) -> tuple[list[str], str] | None:
    """Why a match is refused: other names mean one of the files as well."""
    for file in files:
        if file in several:
            names = enumeration(several[file], most=3)
            return [], f"the names {names} all match {file!r}; write paths that tell them apart"
    return None


def _as_uploaded(name: str) -> str:
    """A file name as Django stores it, which Label Studio is made of: blanks become ``_``, other signs are lost."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


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
