"""Answers: JSON, pictures, maps, and errors of one line."""

import errno
import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16
from starlette.responses import Response

from dhr.errors import ConflictError, DhrError
from dhr.words import one_line

_LOG = logging.getLogger("dhr.review")
_LONGEST = 1000  # characters of an error
_LEVEL = 1  # of gzip: maps are mostly runs of equal ids
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
_GZIP = 31  # zlib's window for a gzip header


class RefusedError(Exception):
    """A request that cannot be answered, with its HTTP status; the message is one line."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.more = more
        """Further members of the answer."""


def as_json(value: Any, status: int = 200) -> Response:
    """Return a value as JSON in ASCII: names of files may hold what UTF-8 cannot."""
    content = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return Response(content, status, media_type="application/json")


def error(status: int, message: str, **more: Any) -> Response:
    """Return an error in one line."""
    return as_json({"error": " ".join(message.split())[:_LONGEST], **more}, status)


def of_exception(failure: Exception) -> Response:
    """Return the answer for an exception. One that was not raised on purpose is logged; its traceback stays here."""
    if isinstance(failure, RefusedError):
        return error(failure.status, str(failure), **failure.more)
    if isinstance(failure, ConflictError):
        return error(409, str(failure), revision=failure.revision)
    if isinstance(failure, DhrError):
        return error(503 if _passes(failure.__cause__) else 409, str(failure))
    if isinstance(failure, MemoryError):
        return error(503, "memory is full; close other programs, and try again")
    if isinstance(failure, OSError):
        return error(503, f"a file cannot be used: {failure.strerror or one_line(failure)}; try again")
    _LOG.error("unexpected error", exc_info=failure)
    return error(500, f"unexpected {type(failure).__name__}; the terminal of `dhr review` shows where it happened")


def _passes(cause: BaseException | None) -> bool:
    """Tell whether an error ends by itself, or when somebody makes space; the page then tries again."""
    return isinstance(cause, OSError) and cause.errno in _PASSING


def as_map(
    values: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"], packed: bool, headers: Mapping[str, str] | None = None
) -> Response:
    """Return numbers row by row, 8 bits or 16 with the low byte first, with the size in headers.

    Args:
        values: the numbers.
        packed: whether the browser takes gzip.
        headers: further headers.
    """
    little = values.astype("<u2") if values.dtype == np.uint16 else values
    content = little.tobytes()
    more = {"X-Width": str(values.shape[1]), "X-Height": str(values.shape[0]), "Vary": "Accept-Encoding"}
    if packed:
        packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
        content = packer.compress(content) + packer.flush()
        more["Content-Encoding"] = "gzip"
    return Response(content, headers={**more, **(headers or {})}, media_type="application/octet-stream")
