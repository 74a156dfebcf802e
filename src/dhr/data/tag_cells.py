"""Split a table's cell into tags."""

import ast
import re
from collections.abc import Callable, Sequence

SEPARATORS = ("|", ",", "\uff0c", "\u3001", "\uff1b")
"""Separators of tags beside ``;`` and line ends; names of classes may hold them as well."""

_ALWAYS = re.compile(r"[;\r\n]")
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ITEM = re.compile(rf"(?:np\.str_\()?({_QUOTED})\)?")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_PARTS = 1000  # of a cell; with more, no name is looked for that holds a separator

Known = Callable[[str], bool]
"""Whether a text is the name of a class."""


class AmbiguousCellError(ValueError):
    """A cell with several meanings; the message is a reason in one line."""


def split_tags(cell: str, known: Known, most: int = 1) -> list[str]:
    """Split a cell into names of tags, known or not.

    Tags are joined by ``;``, by ``|`` or commas, or are a list as Python or JSON writes it. The name of a class may
    hold a bar or a comma: of all ways to split at these into names of classes, the one with the fewest parts counts.
    ``known`` tells names of classes; ``most`` is the number of parts that a class name has when split at one of
    :data:`SEPARATORS`. Raises AmbiguousCellError if two ways have the fewest parts.

    >>> split_tags("cup, saucer|mug", {"cup, saucer", "mug"}.__contains__, most=2)
    ['cup, saucer', 'mug']
    >>> split_tags("['mug', 'jar']", {"mug", "jar"}.__contains__)
    ['mug', 'jar']
    """
    text = cell.strip()
    if known(text):
        return [text]
    if (listed := _listed(text)) is not None:
        return listed
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return [tag for part in _ALWAYS.split(text) if part.strip() for tag in _split(part.strip(), known, most)]


def parts_of(names: Sequence[str]) -> int:
    """Return ``most`` of :func:`split_tags` for these classes."""
    return max((1 + max(name.count(mark) for mark in SEPARATORS) for name in names), default=1)


def _listed(text: str) -> list[str] | None:
    """Return the texts of a list as Python, NumPy or JSON writes it; None for other texts."""
    if _BRACKETS.get(text[:1]) != text[-1:] or len(text) < 2:
        return None
    inner = text[1:-1]
    if not inner.strip():
        return []
    if not re.search(_QUOTED, inner) or _ITEM.sub("", inner).strip(", \t\r\n"):
        return None
    try:
        found = [ast.literal_eval(token) for token in _ITEM.findall(inner)]  # one quoted text each
    except (ValueError, SyntaxError):
        return None
    return [tag for tag in (str(one).strip() for one in found) if tag]


def _split(text: str, known: Known, most: int) -> list[str]:
    marks = [mark for mark in SEPARATORS if mark in text]
    if not marks or known(text):
        return [text]
    ways = [way for mark in marks for way in _ways(text.split(mark), mark, known, most)]
    if not ways:
        return _mixed(text, known, most)
    fewest = min(len(way) for way in ways)
    best = {tuple(way) for way in ways if len(way) == fewest}
    if len(best) > 1:
        first, second = (" and ".join(map(repr, way)) for way in sorted(best)[:2])
        raise AmbiguousCellError(f"{text!r} can be {first}, or {second}; join tags by ';'")
    return list(best.pop())


def _mixed(text: str, known: Known, most: int) -> list[str]:
    """Split tags that are not all known, or that several marks separate."""
    mark = next(mark for mark in SEPARATORS if mark in text)
    parts = [part.strip() for part in text.split(mark)]
    return [tag for part in parts if part for tag in _split(part, known, most)]


def _ways(segments: Sequence[str], mark: str, known: Known, most: int) -> list[list[str]]:
    """Join neighbours so that all are names: return up to two ways with the fewest parts; [] if there is none."""
    if len(segments) > _PARTS:
        most = 1
    best: list[list[list[str]]] = [[[]]]  # by how many segments are joined
    for end in range(1, len(segments) + 1):
        found: list[list[str]] = []
        for start in range(max(0, end - most), end):
            name = mark.join(segments[start:end]).strip()
            if not name and end - start == 1:  # a mark at the end, or two together
                found += best[start]
            elif name and known(name):
                found += [[*way, name] for way in best[start]]
        fewest = min(map(len, found), default=0)
        unlike = {tuple(way): way for way in found if len(way) == fewest}
        best.append(list(unlike.values())[:2])
    return best[-1]
