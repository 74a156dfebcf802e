"""Match the annotations of a folder with photographs, one XML file each."""

from collections import defaultdict
from pathlib import Path

from dhr.data.images import SUFFIXES
from dhr.data.listing import key_of, list_files, name_of
from dhr.data.names import Names
from dhr.data.samples import Problem, Tagged
from dhr.data.tags import TagReader
from dhr.data.voc_xml import Annotation, read_annotation, tags_of_annotation
from dhr.errors import DataError

_XML = frozenset({".xml"})
_TEXTS = (".txt", ".md")


class XmlFiles:
    """Annotations, matched with photographs by name; each is read once, on demand.

    The name of an XML file decides on its photograph. Only if no photograph has that name, the name inside the file
    (``<filename>``) does, and only for a photograph without an annotation of its own.

    Args:
        folder: the annotations, sub-folders included; it may be that of the photographs.
        names: the photographs.
    """

    def __init__(self, folder: Path, names: Names) -> None:
        self._folder = folder
        listing = list_files(folder, _XML)
        self._files = listing.files
        self.paths = [folder / file for file in listing.files]
        """All annotations."""
        self._read: dict[Path, Annotation | str] = {}
        self._other_files = [
            Problem(one.source, "not an annotation (.xml), so it is not read; remove it")
            for one in listing.problems
            if not one.source.lower().endswith((*_TEXTS, *SUFFIXES, ".xml"))
        ]
        self._of: dict[str, list[Path]] = defaultdict(list)
        self._names = names
        self._lost: list[Problem] = []
        self._match()

    def strays(self, beside: bool = False) -> list[Problem]:
        """Return annotations of no photograph, and other files unless photographs lie ``beside`` them."""
        return [*self._lost, *(() if beside else self._other_files)]

    @property
    def broken(self) -> list[Problem]:
        """Return those of the annotations read so far that are unusable."""
        return [Problem(str(path), one) for path, one in self._read.items() if isinstance(one, str)]

    def read(self, path: Path) -> Annotation | str:
        """Return one of :attr:`paths`, or why it cannot be used."""
        if path not in self._read:
            try:
                self._read[path] = read_annotation(path)
            except DataError as error:
                self._read[path] = str(error)
        return self._read[path]

    def of(self, file: str) -> Annotation | str:
        """Return the annotation of a photograph, or why there is none."""
        paths = self._of.get(file, [])
        if not paths:
            return f"no annotation {self._folder / name_of(file, SUFFIXES)}.xml; add it"
        if len(paths) > 1:
            return f"two annotations, {paths[0]} and {paths[1]}; keep one of them"
        return self.read(paths[0])

    def tagged(self, file: str, read: TagReader) -> Tagged:
        """Return the tags of a photograph."""
        annotation = self.of(file)
        return Tagged(reason=annotation) if isinstance(annotation, str) else tags_of_annotation(annotation, read)

    @property
    def notes(self) -> list[str]:
        """Note annotations that name another photograph of the folder than their own name does."""
        pairs = ((path, file, self._read.get(path)) for file, paths in self._of.items() for path in paths)
        found = [
            (path, one.filename)
            for path, file, one in pairs
            if isinstance(one, Annotation) and one.filename and self._means_another(one, file)
        ]
        if not found:
            return []
        path, name = found[0]
        many = f"annotations named as one photograph that name another inside: {len(found)}"
        return [f"{many}, such as {path} with <filename> {name!r}; the name of the XML file counts"]

    def _means_another(self, annotation: Annotation, file: str) -> bool:
        last = key_of(annotation.filename).rpartition("/")[2]
        if name_of(last, SUFFIXES) == name_of(key_of(file).rpartition("/")[2], SUFFIXES):
            return False
        others = self._names.find(annotation.filename)[0]
        return bool(others) and file not in others

    def _match(self) -> None:
        stems = [name_of(file, _XML) for file in self._files]
        lost = []
        for path, stem, (files, reason) in zip(self.paths, stems, self._names.find_all(stems), strict=True):
            for file in files:
                self._of[file].append(path)
            if not files:
                lost.append((path, stem, reason))
        own = set(self._of)  # photographs with an annotation of their name
        given = [self.read(path) for path, _, _ in lost]
        written = [one.filename if isinstance(one, Annotation) else "" for one in given]
        for (path, stem, reason), name, (files, other) in zip(
            lost, written, self._names.find_all(written), strict=True
        ):
            if files and not any(file in own for file in files):
                for file in files:
                    self._of[file].append(path)
                continue
            same = name_of(key_of(name).rpartition("/")[2], SUFFIXES) == name_of(key_of(stem), SUFFIXES)
            why = other or f"{files[0]!r} has an annotation of its own name" if name and not same else None
            inside = "" if why is None else f"; its <filename> {name!r}: {why}"
            self._lost.append(Problem(str(path), f"{reason}{inside}"))
