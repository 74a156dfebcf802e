"""Find the files that the names in annotations mean: the one place where names are matched."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from dhr.data.classes import enumeration
from dhr.data.images import SUFFIXES
from dhr.data.listing import key_of, mask_key, name_of
from dhr.data.samples import Problem

_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Entry(Generic[Value]):
    """A line or element of an annotation file that names a photograph."""

    name: str
    place: str
    """File and line, for messages."""
    value: Value
    """Its content."""
    wrong: str | None = None
    """Why it names no photograph, if ``name`` is empty."""


class Names:
    """Finds the files of a listing by name.

    A name is compared from its end, part by part: ``C:\\shop\\images\\a.jpg`` means ``a.jpg`` or ``images/a.jpg``, and
    ``a.jpg`` means ``trip/a.jpg`` if there is only one. The longest match counts. The suffix may be missing, Unicode's
    forms are equal, and so are upper and lower case if only one file is meant. Only listed files are found, so no name
    leads out of the folder.

    >>> names = Names(["a.jpg", "trip/b.jpg"])
    >>> names.find("images/a.jpg")[0], names.find("b")[0], names.find("../c.jpg")[0]
    (['a.jpg'], ['trip/b.jpg'], [])

    Args:
        files: relative POSIX paths.
        folder: where they are, for messages.
        uploads: whether names may be those of files uploaded to Label Studio: without folder, with eight hexadecimal
            digits and a dash before them, ``_`` for blanks, and without other signs. ``upload/3/1a2b3c4d-my_a_1.jpg``
            means ``trip/my a (1).jpg``, unless a file has that very name.
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
        """Return the files, or why there is none. Several files of the same name clash, and are refused later."""
        parts = _parts(text)
        if not parts:
            return [], f"expected the name of an image in {self._folder}, got {text!r}; write it"
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
        """Return the files that share most parts with a path, or why several are meant; None if there is none."""
        whole = "/".join(parts)
        if found := self._named(whole):
            return found, None
        if below := self._ends.below(whole, most=4):
            if parts[0] == self._folder.rstrip("/"):  # it may be the folder of all, or one below it
                below += self._named("/".join(parts[1:])) or ()
            if len({name_of(key_of(file), SUFFIXES) for file in below}) == 1:
                return below, None
            names = enumeration(sorted(below), most=3)
            return [], f"several files end with {text!r}: {names}; write more of its path"
        for start in range(1, len(parts)):
            if found := self._named("/".join(parts[start:])):
                return found, None
        return None

    def _uploaded(self, text: str, name: str) -> tuple[list[str], str | None] | None:
        """Return the file that may have been uploaded under a name; None if there is none."""
        files = self._by_upload.get(_as_uploaded(name), [])
        if len({name_of(key_of(file), SUFFIXES) for file in files}) > 1:
            names = enumeration(sorted(files), most=3)
            return [], f"several files may have been uploaded as {text!r}: {names}; rename them"
        return (files, None) if files else None

    def find_all(self, texts: Sequence[str]) -> list[tuple[list[str], str | None]]:
        """Return the files of all names of one annotation file, or why there are none.

        Names that differ in the part before their match are refused if they would mean the same file: ``cats/1.jpg``
        and ``dogs/1.jpg`` are not both ``1.jpg``. So are names of which one is only an end of the file's: beside
        ``cats/1.jpg``, ``1.jpg`` may be a file that is missing.
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
        return [_ambiguous(files, several) or (files, reason) for files, reason in found]

    def match(
        self, file: Path, entries: Iterable[Entry[Value]], problems: list[Problem] | None
    ) -> dict[str, list[Value]]:
        """Return the values of the entries of one annotation ``file`` by photograph; see :meth:`find_all`.

        Entries of no photograph become ``problems``, unless these are not wanted.
        """
        found: dict[str, list[Value]] = defaultdict(list)
        entries = list(entries)
        for entry, (files, reason) in zip(entries, self.find_all([entry.name for entry in entries]), strict=True):
            for photograph in files:
                found[photograph].append(entry.value)
            if not entry.name:
                reason = entry.wrong or reason
            if reason and problems is not None:
                problems.append(Problem(entry.name or str(file), f"{entry.place}: {reason}"))
        return dict(found)

    def clash(self, file: str) -> list[str]:
        """Return the other files whose masks would have the same name."""
        same = self._by_mask[mask_key(name_of(key_of(file), SUFFIXES))]
        return [other for other in same if other != file]

    def _named(self, path: str) -> list[str] | None:
        return self._by_file.get(path) or self._by_name.get(path)

    @cached_property
    def _ends(self) -> "_Ends":
        return _Ends({key: files for keys in (self._by_name, self._by_file) for key, files in keys.items()})

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        """Group files by path in lower case, with and without suffix."""
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
        return f"no image {text!r} in {self._folder}; {hint}"


class _Ends:
    """Finds paths by their last parts, in a time that hardly grows with their number."""

    def __init__(self, files: Mapping[str, Sequence[str]]) -> None:
        self._files = files
        self._backwards = sorted(path[::-1] for path in files)

    def below(self, end: str, most: int) -> list[str]:
        """Return up to ``most`` files whose path ends with ``/end``."""
        found: dict[str, None] = {}
        for at in range(bisect_left(self._backwards, end[::-1] + "/"), len(self._backwards)):
            path = self._backwards[at][::-1]
            if not path.endswith(f"/{end}") or len(found) >= most:
                break
            found.update(dict.fromkeys(self._files[path]))
        return list(found)


def _parts(text: str) -> list[str]:
    """Split a path written by a person; ``..`` removes the part before it."""
    parts: list[str] = []
    for part in key_of(text.strip()).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _nested(names: Iterable[str], own: str) -> bool:
    """Tell whether each name ends with ``own`` and is an end of the longest, so that all can mean the same file."""
    longest = max(names, key=len)
    return all(f"/{name}".endswith(f"/{own}") and f"/{longest}".endswith(f"/{name}") for name in names)


def _ambiguous(files: Sequence[str], several: Mapping[str, Sequence[str]]) -> tuple[list[str], str] | None:
    """Explain why a match is refused: other names mean one of the files as well."""
    for file in files:
        if file in several:
            names = enumeration(several[file], most=3)
            return [], f"the names {names} all match {file!r}; write paths that tell them apart"
    return None


def _as_uploaded(name: str) -> str:
    """Return a file name as Django, and so Label Studio, stores it: ``_`` for blanks, without other signs."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))
