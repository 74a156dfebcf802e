"""Places of photographs: paths and URIs, how they are written, and how messages name them."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from dhr.data.listing import escapes
from dhr.errors import DataError
from dhr.words import printable

REMOTE = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    "hdfs": "pyarrow",
    "hf": "huggingface_hub",
}
"""Schemes of photographs that are not local files, and the package that each needs beside fsspec."""

LONGEST = 8_000
"""Characters of the longest URI."""

_SHOWN = 200  # characters in a message
_SECRET = re.compile("[@?#]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def scheme(uri: str) -> str | None:
    """Return the scheme of a URI in lower case; None for a path.

    >>> scheme("S3://bucket/a.jpg"), scheme("trip/a.jpg"), scheme("C:/a.jpg")
    ('s3', None, None)
    """
    found = _SCHEME.match(uri)
    return None if found is None else found[1].lower()


def located(uri: str, folder: Path) -> str:
    """Return a place as it is opened: a path below ``folder``, an absolute path, or a URI as it is.

    Raises DataError with the reason, which begins with the shown URI, if it leads out of ``folder``, or nothing can
    open it.

    >>> located("trip/a.jpg", Path("/photos")), located("file:///other/a%20b.jpg", Path("/photos"))
    ('/photos/trip/a.jpg', '/other/a b.jpg')
    """
    reason = None
    if not uri or len(uri) > LONGEST:
        reason = f"expected a path or URI of 1 to {LONGEST} characters, got {len(uri)}"
    elif printable(uri) != uri:
        reason = "it has control characters; rename the file"
    kind = scheme(uri)
    if reason is None and kind is None:
        if uri.startswith("/"):
            return uri
        if not escapes(uri):
            return str(folder / uri)
        reason = f"it leads out of the folder of the manifest, {folder}; write an absolute path"
    elif reason is None and kind == "file":
        parts = urlsplit(uri)
        if parts.netloc in ("", "localhost") and printable(unquote(parts.path)) == unquote(parts.path):
            return unquote(parts.path)
        reason = "a file:// URI names an absolute path of this machine; write file:///path"
    elif reason is None and kind not in REMOTE:
        reason = f"no file system is known for {kind}://; use a path, file:// or one of {', '.join(REMOTE)}"
    if reason is None:
        return uri
    raise DataError(f"{shown(uri)[:_SHOWN]!r}: {reason}")


def shown(uri: str) -> str:
    """Return a URI for messages and records: without user, password, query and fragment, which may be secrets.

    >>> shown("https://me:secret@host:8000/a.jpg?signature=abc"), shown("trip/a#1?.jpg")
    ('https://host:8000/a.jpg', 'trip/a#1?.jpg')
    """
    kind = scheme(uri)
    if kind is None or kind == "file" or not _SECRET.search(uri):
        return printable(uri[:LONGEST])
    try:
        parts = urlsplit(uri[:LONGEST])
    except ValueError:  # such as an open bracket in the host
        return f"{kind}://..."
    query, fragment = ("", "") if kind in ("http", "https") else (parts.query, parts.fragment)
    host = parts.netloc.rpartition("@")[2]
    return printable(urlunsplit((parts.scheme, host, parts.path, query, fragment)))


def relative_to(place: str, folder: Path) -> str:
    """Return the shortest form of a place in a manifest in ``folder``: relative if it lies below, else absolute.

    >>> relative_to("/photos/trip/a.jpg", Path("/photos")), relative_to("s3://bucket/a.jpg", Path("/photos"))
    ('trip/a.jpg', 's3://bucket/a.jpg')
    """
    if scheme(place) is not None:
        return place
    path = Path(place).absolute()
    base = folder.absolute()
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
