"""XML from outside: elements with their lines, no document types, no entities but the five of XML itself."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from dhr.errors import DataError

_DEPTH = 64  # annotations have five or so


@dataclass
class Element:
    """An element: its tag, attributes, text of its own, and children."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: "list[Element]" = field(default_factory=list)

    def all(self, tag: str) -> "list[Element]":
        """The children with this tag."""
        return [child for child in self.children if child.tag == tag]

    def first(self, tag: str) -> str:
        """Text of the first child with this tag, stripped; empty where there is none."""
        return next((child.text.strip() for child in self.children if child.tag == tag), "")


class _RefusedError(Exception):
    pass


def read_xml(path: Path) -> Element:
    """The root element of an XML file.

    Document types are refused, and with them all entities that a file could define: they can name other files, or grow
    without end.

    Raises:
        DataError: it cannot be read, is no XML, has a document type, or is nested too deep.
    """
    top = Element("", {}, 0)
    stack = [top]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > _DEPTH:
            raise _RefusedError(f"elements are nested over {_DEPTH} deep")
        element = Element(tag, attributes, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def end(tag: str) -> None:
        stack.pop()

    def text(part: str) -> None:
        stack[-1].text += part

    def refuse(*_: object) -> None:
        raise _RefusedError("document types and entities are refused; remove the DOCTYPE")

    parser = expat.ParserCreate()
    parser.buffer_text = True  # one piece of text an element
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; check the file") from error
    except _RefusedError as error:
        raise DataError(f"{path} line {parser.CurrentLineNumber}: {error}") from error
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: encodings that Python does not know
        line = parser.CurrentLineNumber
        raise DataError(f"{path} line {line}: not valid XML ({error}); write the file again") from error
    return top.children[0]
