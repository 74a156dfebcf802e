"""A data set in a folder: photographs, ``tags.csv`` and ``classes.txt``."""

import hashlib
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.classes import enumeration, read_classes, read_text, with_supers
from dhr.data.images import SUFFIXES, read_mask, read_rgb, read_size
from dhr.data.listing import escapes, key_of, list_files, name_of, printable
from dhr.data.samples import VOID, ClassTable, Problem, Sample
from dhr.data.tags import TagLine, merge, read_tags, tag_names
from dhr.errors import DataError, ItemError


class FolderDataSet:
    """Photographs and tags in a folder; implements :class:`~dhr.data.samples.DataSet`.

    ::

        ROOT/images/           PNG, JPEG, WebP, BMP, TIFF, GIF; sub-folders are part of the name
        ROOT/tags.csv          image,tags: a file name, with or without suffix, and its tags joined by ';'
        ROOT/classes.txt       one class a line; the first may be `background`
        ROOT/truth/NAME.png    optional: masks of class ids, for evaluation only
        ROOT/splits/SPLIT.txt  optional: one name or file name a line
        ROOT/supercategories.csv   optional: class,supercategory

    Everything is listed here, nothing of the images and truth masks is opened. Whatever cannot be used is one of
    ``problems``; with a ``split`` only what concerns the photographs of the split is.

    Raises:
        DataError: the folder cannot be used as a whole.
    """

    def __init__(self, root: str | os.PathLike[str], split: str | None = None) -> None:
        self._root = Path(root)
        self._check_layout()
        self._classes = _class_table(self._root)
        images = list_files(self._root / "images", SUFFIXES)
        self._problems = list(images.problems) if split is None else []
        names = _Names(images.files)
        wanted = None if split is None else self._read_split(split, names)
        lines = self._read_tags(names, wanted)
        truth = self._root / "truth"
        masks = list_files(truth, frozenset({".png"})).files if truth.is_dir() else ()
        self._truth = {key_of(name_of(mask, SUFFIXES)): truth / mask for mask in masks}
        self._found: list[Sample] = []
        self._paths: dict[str, Path] = {}
        for file in images.files:
            if wanted is None or file in wanted:
                self._add(file, names, lines.get(file))
        if not self._found:
            where = f"{self._root / 'images'}" + (f" in split {split!r}" if split is not None else "")
            reasons = " | ".join(f"{problem.source}: {problem.reason}" for problem in self._problems[:3])
            raise DataError(
                f"{where}: no usable photograph; {reasons or 'put photographs there and tag them in tags.csv'}"
            )
        self._samples = tuple(sorted(self._found, key=lambda sample: sample.name))

    @property
    def classes(self) -> ClassTable:
        """The class table, with super-classes if the folder has ``supercategories.csv``."""
        return self._classes

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The usable photographs, sorted by name."""
        return self._samples

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was left out, and why."""
        return tuple(self._problems)

    def digest(self, sample: Sample) -> str:
        """SHA-256, in hex, of the file's bytes.

        Raises:
            ItemError: it cannot be read.
        """
        path = self._path(sample)
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ItemError(f"{path}: cannot be read: {error.strerror or error}; check the file") from error

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph: RGB, upright; see :func:`~dhr.data.images.read_rgb`.

        Raises:
            ItemError: it cannot be read.
        """
        return read_rgb(self._path(sample))

    def read_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`, of the size of the upright photograph.

        Raises:
            ItemError: there is none, it cannot be read, has another size, or ids that are no class.
        """
        photograph = self._path(sample)
        path = self._truth.get(key_of(sample.name))
        if path is None:
            raise ItemError(f"{self._root / 'truth' / sample.name}.png: there is no such truth mask; add it")
        labels = read_mask(path, read_size(photograph))
        pixels = np.bincount(labels.ravel(), minlength=256)
        unknown = [int(label) for label in np.flatnonzero(pixels) if len(self._classes.names) <= label < VOID]
        if unknown:
            raise ItemError(
                f"{path}: expected class ids 0..{len(self._classes.names) - 1} (classes.txt) and {VOID} for void, got "
                f"{unknown[0]} in {pixels[unknown[0]]} pixels; correct the mask or classes.txt"
            )
        return labels

    def _check_layout(self) -> None:
        root = self._root
        if not root.is_dir():
            raise DataError(
                f"{root}: expected a folder with images/, tags.csv and classes.txt, there is none; check the path"
            )
        if not (root / "images").is_dir():
            raise DataError(f"{root}: expected a folder images/ in it, there is none; put the photographs there")
        if not (root / "tags.csv").is_file():
            raise DataError(
                f"{root}: expected a file tags.csv in it, there is none; write a first line image,tags and a line a "
                "photograph, such as a.jpg,cat;dog"
            )

    def _read_split(self, split: str, names: "_Names") -> set[str]:
        folder = self._root / "splits"
        known = sorted(path.stem for path in folder.glob("*.txt") if not path.name.startswith("."))
        if split not in known:
            there = f"there are {enumeration(known)}" if known else f"there is no file in {folder}"
            raise DataError(f"{self._root}: no split {split!r}; {there}")
        path = folder / f"{split}.txt"
        wanted = set()
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not (entry := line.strip()):
                continue
            files, reason = names.find(entry)
            wanted.update(files)
            if reason:
                self._problems.append(Problem(printable(entry), f"{path} line {number}: {reason}"))
        return wanted

    def _read_tags(self, names: "_Names", wanted: set[str] | None) -> dict[str, list[TagLine]]:
        """Lines of tags.csv by file; those of no file become problems."""
        path = self._root / "tags.csv"
        lines: dict[str, list[TagLine]] = defaultdict(list)
        for line in read_tags(path, self._classes):
            files, reason = names.find(line.image) if line.image else ((), line.reason)
            for file in files:
                lines[file].append(line)
            if reason and wanted is None:
                self._problems.append(Problem(printable(line.image) or str(path), f"{path} line {line.line}: {reason}"))
        return lines

    def _add(self, file: str, names: "_Names", lines: list[TagLine] | None) -> None:
        path = self._root / "images" / file
        name = name_of(file, SUFFIXES)
        if clash := names.clash(file):
            reason: str | None = f"its mask would overwrite that of {enumeration(clash, most=3)}; rename them"
        elif lines is None:
            reason = "no line in tags.csv; add one"
        else:
            tags, reason = merge(lines)
            if reason:
                reason = f"{self._root / 'tags.csv'} {reason}"
            else:
                self._found.append(Sample(name, str(path), tags, has_truth=key_of(name) in self._truth))
                self._paths[name] = path
        if reason:
            self._problems.append(Problem(str(path), reason))

    def _path(self, sample: Sample) -> Path:
        try:
            return self._paths[sample.name]
        except KeyError:
            raise ItemError(
                f"{sample.name!r} is no photograph of {self._root}; take samples from this data set"
            ) from None


class _Names:
    """Finds the files that a person means by a file name, with or without suffix."""

    def __init__(self, files: tuple[str, ...]) -> None:
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
                "expected a path relative to images/, got one that may lead out of it; write it without '..'",
            )
        key = key_of(text)
        if found := self._by_file.get(key) or self._by_name.get(key):
            return found, None
        near = self._by_name.get(name_of(key, SUFFIXES)) or self._by_mask.get(name_of(key, SUFFIXES).casefold())
        hint = f"did you mean {enumeration(near, most=2)}?" if near else "add the image or remove the line"
        return [], f"no image {text!r} in images/; {hint}"

    def clash(self, file: str) -> list[str]:
        """The other files whose masks would have the same name."""
        same = self._by_mask[name_of(key_of(file), SUFFIXES).casefold()]
        return [other for other in same if other != file]


def _class_table(root: Path) -> ClassTable:
    path = root / "classes.txt"
    if not path.is_file():
        found = tag_names(root / "tags.csv")
        names = ", ".join(found) if found else "none"
        raise DataError(
            f"{root}: expected a file classes.txt in it, one class a line (tags found in tags.csv: {names}); make the "
            "first line `background` if photographs also show things that no tag names, not if the tags cover all"
        )
    classes = read_classes(path)
    supers = root / "supercategories.csv"
    return with_supers(classes, supers) if supers.is_file() else classes
