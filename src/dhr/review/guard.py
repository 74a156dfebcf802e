"""Lets only our own page in: the secret in the path, the name of the host, the origin."""

import secrets
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dhr.review.answers import error

HOSTS = ("127.0.0.1", "localhost")
"""Names by which a browser may address the server. Any other name could belong to a website that lets it lead to this
machine (DNS rebinding). Any port is accepted, because an SSH tunnel may use another one."""
_SAFE = ("GET", "HEAD")
_START_SECONDS = 120.0

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "worker-src 'self'; base-uri 'none'; form-action 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The browser loads nothing from elsewhere, and sends the address with its secret to nobody. Frames are allowed,
because a notebook shows the page in one; other pages do not have the address."""


@dataclass(frozen=True)
class Secrets:
    """The secrets of a server."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """First part of all addresses. A cookie would also be sent to other servers on this machine, and browsers block
    cookies in the frame of a notebook."""
    start: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """Leads a new browser to the token, for two minutes. Other users of the machine can read the command line of a
    browser, which holds it."""
    begun: float = field(default_factory=time.monotonic)

    def starts(self, part: str) -> bool:
        """Tell whether a part of a path is the present start."""
        return _equal(part, self.start) and time.monotonic() - self.begun < _START_SECONDS

    def opens(self, part: str) -> bool:
        """Tell whether a part of a path is the token."""
        return _equal(part, self.token)


class Guard:
    """An ASGI application in front of another one, which sees only requests of our own page.

    Args:
        app: the application; it sees paths without the token.
        keys: the secrets.
    """

    def __init__(self, app: ASGIApp, keys: Secrets) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        first, *rest = str(scope["path"]).removeprefix("/").split("/", 1)
        headers = Headers(scope=scope)
        if (reason := _strange_host(headers)) is not None:
            await error(403, reason)(scope, receive, with_headers)
        elif not rest and self._keys.starts(first):
            await RedirectResponse(f"/{self._keys.token}/", 303)(scope, receive, with_headers)
        elif not self._keys.opens(first):
            await error(403, "expected the whole address that `dhr review` printed; open that one")(
                scope, receive, with_headers
            )
        elif (reason := _strange_page(scope, headers)) is not None:
            await error(403, reason)(scope, receive, with_headers)
        elif not rest:  # relative addresses begin at the slash
            await RedirectResponse(f"/{self._keys.token}/", 307)(scope, receive, with_headers)
        else:
            await self._app(_below(scope, f"/{rest[0]}"), receive, with_headers)


def _below(scope: Scope, path: str) -> MutableMapping[str, Any]:
    return {**scope, "path": path, "raw_path": path.encode("utf-8", "replace"), "root_path": ""}


def _strange_host(headers: Headers) -> str | None:
    named = headers.getlist("host")
    host, _, port = named[0].partition(":") if len(named) == 1 else ("", "", "")
    if host.lower() in HOSTS and (port == "" or (port.isascii() and port.isdecimal())):
        return None
    return f"expected the host {' or '.join(HOSTS)}; open the address that `dhr review` printed"


def _strange_page(scope: Scope, headers: Headers) -> str | None:
    """Return why a request that changes something cannot come from our own page."""
    if scope["method"] in _SAFE:
        return None
    if headers.get("x-review") != "1":
        return "expected the header X-Review: 1, which pages of others cannot send"
    origins = headers.getlist("origin")
    if any(origin.lower() != f"http://{headers['host'].lower()}" for origin in origins):
        return "expected a request of the page itself, got one of another page"
    return None


def _equal(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), secret.encode())
