"""Read photographs from object stores and web servers, with a limit of bytes and a few more tries."""

import importlib
import os
import random
import re
import threading
import time
from typing import Any

from dhr.data.image_files import MAX_CONTENT, Content
from dhr.data.uris import REMOTE, scheme, shown
from dhr.errors import ConfigError, ItemError
from dhr.words import one_line

TRIES = 5
"""How often a read is tried before its photograph is left out."""

PAUSE = 0.3
"""Seconds before the second try, on average; each further pause is twice as long."""

TIMEOUT = 30.0
"""Seconds without an answer after which a read is tried again."""

_BLOCK = 1 << 20
_PERMANENT = (400, 401, 403, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 451, 501, 505)
"""Answers of servers that stay the same when they are asked again."""

_systems: dict[tuple[int, str], Any] = {}
_lock = threading.Lock()


def fetch(uri: str, most: int = MAX_CONTENT) -> Content:
    """Read a photograph at a URI as a whole.

    Temporary errors (a server that is busy, a lost connection, an answer that takes too long) are tried again, up to
    :data:`TRIES` times with growing pauses.

    Args:
        uri: its scheme is one of :data:`~dhr.data.uris.REMOTE`.
        most: bytes; a larger file is refused after so many were read.

    Raises:
        ItemError: it does not exist, cannot be accessed, is too large, or all tries failed.
        ConfigError: a package for this scheme is not installed.
    """
    kind, place = str(scheme(uri)), shown(uri)
    system = file_system(kind)
    for number in range(1, TRIES + 1):
        try:
            content = _read(system, kind, uri, most + 1)
            break
        except Exception as error:  # each file system has exceptions of its own
            lasting = _lasting(error)
            if lasting or number == TRIES:
                again = "" if lasting else f" ({TRIES} tries); check the network, and start again"
                raise ItemError(f"{place}: {_reason(error, uri)}{again}") from None  # its text may hold secrets
            time.sleep(PAUSE * 2 ** (number - 1) * random.uniform(0.5, 1.5))
    if len(content) > most:
        raise ItemError(f"{place}: it has over {most // 10**6} MB; make it smaller")
    return Content(place, content)


def file_system(kind: str) -> Any:
    """Return fsspec's file system for a scheme; one for each process.

    Accounts, keys and addresses are those of fsspec's own configuration and of each file system's environment.

    Raises:
        ConfigError: a package is not installed.
    """
    key = (os.getpid(), kind)
    with _lock:
        if key not in _systems:
            _systems[key] = _made(kind)
        return _systems[key]


def _made(kind: str) -> Any:
    try:
        fsspec = importlib.import_module("fsspec")
        importlib.import_module(REMOTE[kind])
        made = fsspec.get_filesystem_class(kind)
        own = importlib.import_module("fsspec.config").apply_config(made, {})  # the user's settings stand above ours
        options = {name: {**ours, **own.get(name, {})} for name, ours in _waits(kind).items()}
        system = fsspec.filesystem(kind, skip_instance_cache=True, **options)
    except ImportError as error:
        extra = "'dhr[cluster]'" if REMOTE[kind] in ("s3fs", "aiohttp", "pyarrow") else f"'dhr[cluster]' {REMOTE[kind]}"
        raise ConfigError(
            f"photographs at {kind}:// need fsspec and {REMOTE[kind]}, which are not all installed; pip install {extra}"
        ) from error
    if kind in ("s3", "s3a"):
        system.retries = 1  # :func:`fetch` tries again
    return system


def _waits(kind: str) -> dict[str, dict[str, Any]]:
    """Return the options of a file system that limit how long an answer may take."""
    if kind in ("http", "https"):
        timeout = importlib.import_module("aiohttp").ClientTimeout(total=None, connect=TIMEOUT, sock_read=TIMEOUT)
        return {"client_kwargs": {"timeout": timeout}}
    if kind in ("s3", "s3a"):
        waits = {"connect_timeout": TIMEOUT, "read_timeout": TIMEOUT, "retries": {"total_max_attempts": 1}}
        return {"config_kwargs": waits}
    return {}


def _read(system: Any, kind: str, uri: str, most: int) -> bytes:
    """Read at most ``most`` bytes in one request."""
    if kind not in ("http", "https"):
        content: bytes = system.cat_file(uri, start=0, end=most)
        return content
    parts, left = [], most  # a web server may ignore a range, so its answer is read as a stream
    with system.open(uri, "rb", block_size=0, size=1) as stream:
        while left > 0 and (part := stream.read(min(left, _BLOCK))):
            parts.append(part)
            left -= len(part)
    return b"".join(parts)


def _status(error: BaseException) -> int | None:
    """Return the code of a server's answer; None if there was none."""
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        answer = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        meta = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
        status = meta.get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _lasting(error: BaseException) -> bool:
    """Tell whether an error stays the same when the read is tried again."""
    if isinstance(error, MemoryError) or (status := _status(error)) in _PERMANENT:
        return True
    if status is not None:
        return False
    name = type(error).__name__
    return isinstance(error, FileNotFoundError | PermissionError | ValueError) or "Credentials" in name


def _reason(error: BaseException, uri: str) -> str:
    """Describe an error without the URI, which may hold secrets."""
    status = _status(error)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return "there is no such file; correct its URI, or leave it out"
    if isinstance(error, PermissionError) or status in (401, 403) or "Credentials" in type(error).__name__:
        return "no access; check the account and its rights, such as AWS_ACCESS_KEY_ID or AWS_PROFILE for s3://"
    if status == 416:
        return "expected an image, got an empty file; copy it again"
    if status is not None:
        return f"cannot be read: the server answered {status}"
    text = re.sub(r"\S+://\S+", "...", one_line(error).replace(uri, "..."))
    waited = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
    return f"cannot be read: no answer within {TIMEOUT:g} seconds" if waited else f"cannot be read: {text}"
