"""The web application: addresses, static files, errors."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dhr.review.acts import ACTS
from dhr.review.answers import error, of_exception
from dhr.review.bodies import read_body
from dhr.review.desk import Asked, Desk, Endpoint
from dhr.review.guard import Guard, Secrets
from dhr.review.lanes import LeftError
from dhr.review.looks import LOOKS

_KINDS = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "png": "image/png",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_INDEX = "index.html"
_Answer = Callable[[Request], Coroutine[Any, Any, Response]]


def application(desk: Desk, keys: Secrets) -> Guard:
    """Return the application of an open run, behind its guard."""
    page = _page_files()

    async def index(request: Request) -> Response:
        return _static(page, _INDEX)

    async def static(request: Request) -> Response:
        return _static(page, request.path_params["name"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        yield
        desk.lanes.close()

    routes = [
        Route("/", index),
        Route("/static/{name}", static),
        *(Route(one.path, _answering(desk, one), methods=[one.method]) for one in (*LOOKS, *ACTS)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _of_http})
    app.router.redirect_slashes = False
    return Guard(app, keys)


def _answering(desk: Desk, endpoint: Endpoint) -> _Answer:
    async def answer(request: Request) -> Response:
        asked = Asked(request.path_params, dict(request.query_params), dict(request.headers))
        try:
            if endpoint.waits:
                await asyncio.shield(asyncio.wrap_future(desk.photographs.read_all))
            most = await desk.lanes.plain("open", lambda: endpoint.most(desk, asked))
            body = await read_body(request, most)
            whole = Asked(asked.parts, asked.query, asked.headers, body)
            return await desk.lanes.run(endpoint.lane, lambda: endpoint.answer(desk, whole), request)
        except LeftError:
            return Response(status_code=204)  # nobody reads it
        except Exception as failure:  # a page always gets one line, never a traceback
            return of_exception(failure)

    return answer


async def _of_http(request: Request, failure: Exception) -> Response:
    status = failure.status_code if isinstance(failure, HTTPException) else 500
    words = {404: "there is no such address", 405: f"{request.method} is not for this address"}
    return error(status, words.get(status, "the request cannot be answered"))


def _page_files() -> Mapping[str, tuple[bytes, str]]:
    """Read the files of the page once, with their media types; a request can only name one of these."""
    folder = files("dhr.review").joinpath("page")
    found = {one.name: one for one in folder.iterdir() if one.name.rpartition(".")[2] in _KINDS}
    return {name: (one.read_bytes(), _KINDS[name.rpartition(".")[2]]) for name, one in found.items()}


def _static(page: Mapping[str, tuple[bytes, str]], name: str) -> Response:
    if name not in page:
        return error(404, "there is no such file")
    content, kind = page[name]
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})
