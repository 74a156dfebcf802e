"""Threads by the kind of work, so that thumbnails do not hold up the photograph that is open."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from starlette.requests import Request

Result = TypeVar("Result")
Lane = Literal["open", "thumb", "cells", "network"]
"""`open`: what the editor waits for. `thumb`: thumbnails. `cells`: superpixels. `network`: networks, one at a time."""


class LeftError(Exception):
    """The browser left before the work began."""


class Lanes:
    """The threads of a server."""

    def __init__(self) -> None:
        spare = max(1, min(4, (os.cpu_count() or 2) - 1))
        threads: dict[Lane, int] = {"open": 3, "thumb": spare, "cells": 1, "network": 1}
        self._pools = {
            lane: ThreadPoolExecutor(count, thread_name_prefix=f"dhr-review-{lane}") for lane, count in threads.items()
        }

    def start(self, lane: Lane, work: Callable[[], None]) -> None:
        """Start work whose result nobody waits for."""
        self._pools[lane].submit(work)

    async def plain(self, lane: Lane, work: Callable[[], Result]) -> Result:
        """Return the result of work, before the body of a request is read."""
        return await asyncio.wrap_future(self._pools[lane].submit(work))

    async def run(self, lane: Lane, work: Callable[[], Result], request: Request) -> Result:
        """Return the result of work, which is left out if the browser leaves before it begins.

        The body of the request must have been read.

        Raises:
            LeftError: the browser left.
        """
        future = asyncio.wrap_future(self._pools[lane].submit(work))
        gone = asyncio.ensure_future(_left(request))
        either: set[asyncio.Future[Any]] = {future, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                future.cancel()  # does nothing to work that has begun
                raise LeftError
            return future.result()
        finally:
            gone.cancel()

    def close(self) -> None:
        """Let work that has begun end, and leave out the rest."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


async def _left(request: Request) -> None:
    """Wait until the browser leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
