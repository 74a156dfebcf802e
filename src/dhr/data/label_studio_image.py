"""Find the photograph of a task of Label Studio: its image may stand under any key, as a path or a URL."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dhr.data.classes import enumeration
from dhr.data.images import SUFFIXES
from dhr.data.names import Names

PICTURES = ("image", "img", "picture", "photo")
"""Keys under which an image may have any name."""
_LONGEST = 4_096  # of a path; longer texts are pictures themselves, or prose
_URL = re.compile(r"(?i)[a-z][a-z0-9+.-]+://|/data/local-files/?\?")  # one letter and a colon is a disk of Windows


class ImageFinder:
    """Finds the image among the data of a task; ``names`` are the existing photographs."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def __call__(self, data: dict[str, Any], objects: Collection[str]) -> tuple[list[str], str | None]:
        """Return the image as a path, or all images and why none is meant.

        ``objects`` are the names of the controls' objects; these are often keys of the data, too.
        """
        texts = {str(key): texts for key, value in data.items() if (texts := _texts(value))}
        named = {key: value for key, value in texts.items() if key in PICTURES or any(map(is_image, value))}
        hits = self._hits(named) or (self._hits(texts) if not named else {})
        if len({file for files in hits.values() for file in files}) > 1:
            meant = [key for key in hits if key in objects]
            if len(meant) != 1 or len(objects) != 1 or len(hits[meant[0]]) > 1:
                several = [path for found in hits.values() for path in found.values()]
                return several, f"several images, {enumeration(hits, most=4)}; make a task of each"
            hits = {meant[0]: hits[meant[0]]}
        if hits:
            return [path for found in hits.values() for path in found.values()][:1], None
        if named:  # none of them is there
            key = next((key for key in PICTURES if key in named), next(iter(named)))
            return [paths(named[key][0])[0]], None
        keys = enumeration(map(str, data), most=6) or "no key"
        return [], f'expected a task with an image, {{"data": {{"image": "a.jpg"}}}}; its data has {keys}; correct it'

    def _hits(self, texts: dict[str, list[str]]) -> dict[str, dict[str, str]]:
        """Return, by key, the files that its texts mean, and the paths that lead to them."""
        found = {}
        for key, values in texts.items():
            if hits := [hit for text in values if (hit := self._hit(text))]:
                found[key] = dict(hits)
        return found

    def _hit(self, text: str) -> tuple[str, str] | None:
        return next(((files[0], path) for path in paths(text) if (files := self._names.find(path)[0])), None)


def is_image(text: str) -> bool:
    """Tell whether a text ends like the name of an image.

    >>> is_image("s3://bucket/a.JPG"), is_image("/data/local-files/?d=trip/a%20b.png"), is_image("a.jpg.txt")
    (True, True, False)
    """
    return any(path.lower().endswith(tuple(SUFFIXES)) for path in paths(text))


def paths(text: str) -> list[str]:
    """Return the paths that a text may mean, the likeliest first: of URLs their path, or their query.

    >>> paths("/data/local-files/?d=trip/a%20b.jpg")
    ['trip/a b.jpg', 'data/local-files']
    >>> paths("https://example.org/x/a%20b.jpg?token=1")[0], paths("C:\\\\shop\\\\a#1.jpg")
    ('example.org/x/a b.jpg', ['C:\\\\shop\\\\a#1.jpg'])
    """
    if not _URL.match(text):
        return list(dict.fromkeys([text, unquote(text)]))
    try:
        parts = urlsplit(text)
    except ValueError:
        return [text]
    asked = [parts.query[2:]] if parts.query.startswith("d=") else []  # '+' is no space here, and '&' may be in it
    asked = [*map(unquote, asked), *(value for _, value in parse_qsl(parts.query))]
    own = f"{parts.netloc}{parts.path}".strip("/")
    whole = [own, f"{own}#{parts.fragment}"] if parts.fragment else [own]
    found = [*map(unquote, whole), *whole]
    local = "local-files" in parts.path
    return list(dict.fromkeys(one for one in ((*asked, *found) if local else (*found, *asked)) if one)) or [text]


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and one.strip() and len(one) <= _LONGEST]
