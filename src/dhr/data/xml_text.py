"""Read XML from outside: elements with their lines, without document types, with XML's own five entities only."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from dhr.data.classes import MAX_TEXT
from dhr.errors import DataError
from dhr.files import open_regular

_DEPTH = 64  # annotations have five or so
_ELEMENTS = 1_000_000  # within one photograph's annotations
_CHUNK = 1 << 20


@dataclass(slots=True)
class Element:
    """An element: its tag, attributes, own text, and children."""

    tag: str
    attributes: dict[str, str]
    line: int
    texts: list[str] = field(default_factory=list)
    """Its text, in parts."""
    children: "list[Element]" = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return its text without that of its children."""
        return "".join(self.texts)

    def all(self, tag: str) -> "list[Element]":
        """Return the children with this tag."""
        return [child for child in self.children if child.tag == tag]

    def first(self, tag: str) -> str:
        """Return the text of the first child with this tag, stripped; empty if there is none."""
        return next((child.text.strip() for child in self.children if child.tag == tag), "")


class _RefusedError(Exception):
    pass


class _Tree:
    """Builds elements; children of the root are handed over as soon as they are complete."""

    def __init__(self) -> None:
        self.whole: list[Element] = []
        self._stack: list[Element] = []
        self._count = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True  # few parts of text per element
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self.parser.EntityDeclHandler = _refuse

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._stack) >= _DEPTH:
            raise _RefusedError(f"elements are nested over {_DEPTH} deep")
        if self._count > _ELEMENTS:
            raise _RefusedError(f"there are over {_ELEMENTS} elements in one")
        element = Element(tag, attributes, self.parser.CurrentLineNumber)
        if len(self._stack) > 1:
            self._stack[-1].children.append(element)
        elif not self._stack:
            self.whole.append(element)
        self._stack.append(element)

    def _end(self, tag: str) -> None:
        element = self._stack.pop()
        if len(self._stack) == 1:
            self.whole.append(element)
            self._count = 0

    def _text(self, part: str) -> None:
        if len(self._stack) > 1:
            self._stack[-1].texts.append(part)


def _refuse(*_: object) -> None:
    raise _RefusedError("document types and entities are refused; remove the DOCTYPE")


def top_elements(path: Path) -> Iterator[Element]:
    """Yield the root element without its children, then each of these; one is held at a time.

    Document types are refused, and so are all entities that a file could define: they can name other files, or grow
    without end. Raises DataError if the file cannot be read, is not XML, has a document type, or is nested too deep.
    """
    tree = _Tree()
    try:
        with open_regular(path, MAX_TEXT) as file:
            more = True
            while more:
                chunk = file.read(_CHUNK)
                more = bool(chunk)
                tree.parser.Parse(chunk, not more)
                yield from tree.whole
                tree.whole.clear()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; check the file") from error
    except _RefusedError as error:
        raise DataError(f"{path} line {tree.parser.CurrentLineNumber}: {error}") from error
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: encodings that Python lacks
        line = tree.parser.CurrentLineNumber
        raise DataError(f"{path} line {line}: not valid XML ({error}); write the file again") from error


def read_xml(path: Path) -> Element:
    """Return the root element of an XML file with all its content; raises DataError as :func:`top_elements`."""
    top, *children = top_elements(path)
    top.children = children
    return top
