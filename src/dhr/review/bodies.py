"""Reads the bodies of requests within bounds, also those that are packed."""

import zlib
from typing import Any

from starlette.requests import ClientDisconnect, Request

from dhr.parsing import Fields, parse_json
from dhr.review.answers import RefusedError

MOST_JSON = 100_000
"""Largest JSON, bytes."""
_GZIP = 31  # zlib's window for a gzip header


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request, unpacked.

    Args:
        request: the request.
        most: largest number of bytes, packed and unpacked.

    Raises:
        RefusedError: it is larger, or damaged; nothing behind the bound is read.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip"):
        raise RefusedError(415, "expected a body as it is, or Content-Encoding: gzip")
    unpacker = zlib.decompressobj(_GZIP) if coding == "gzip" else None
    parts, size, packed = [], 0, 0
    try:
        async for chunk in request.stream():
            packed += len(chunk)
            if packed > most + most // 64 + 1024:  # noise grows a little when it is packed
                raise _too_large(most)
            part = chunk if unpacker is None else unpacker.decompress(chunk, most - size + 1)
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
    except zlib.error as failure:
        raise RefusedError(422, "the body is not gzip, or damaged; send it again") from failure
    except ClientDisconnect as failure:
        raise RefusedError(400, "the connection ended before the body") from failure
    if unpacker is not None and (not unpacker.eof or unpacker.unused_data):
        raise RefusedError(422, "the gzip body ends too early or too late; send it again")
    return b"".join(parts)


def parse_object(text: str | bytes, name: str) -> Fields:
    """Read a JSON object; ``name`` is what it is in messages.

    Raises:
        RefusedError: it is not one.
    """
    try:
        value: Any = parse_json(text if isinstance(text, str) else text.decode())
        return Fields(value)
    except ValueError as failure:
        raise RefusedError(422, f"{name}: expected a JSON object; {failure}") from failure


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"expected a body of at most {most} bytes, got more")
