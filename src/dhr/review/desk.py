"""An open run, and how a question of the page is answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response

from dhr.job.opened_run import OpenedRun
from dhr.review.lanes import Lane, Lanes
from dhr.review.mending import Mending
from dhr.review.photographs import Photographs
from dhr.review.pictures import Pictures


@dataclass(frozen=True)
class Desk:
    """Everything that a server holds of an open run."""

    photographs: Photographs
    pictures: Pictures
    mending: Mending
    lanes: Lanes

    @staticmethod
    def of(run: OpenedRun) -> "Desk":
        """Open a run for review; its records are not yet read."""
        photographs, lanes = Photographs(run), Lanes()
        return Desk(photographs, Pictures(photographs), Mending(run, lambda work: lanes.start("network", work)), lanes)


@dataclass(frozen=True)
class Asked:
    """A question of the page: the parts of a request that answers depend on."""

    parts: Mapping[str, str]
    """Parts of the path by name."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """With names in small letters."""
    body: bytes = b""


@dataclass(frozen=True)
class Endpoint:
    """An address, and the function that answers it in a thread."""

    path: str
    answer: Callable[[Desk, Asked], Response]
    lane: Lane = "open"
    method: str = "GET"
    most: Callable[[Desk, Asked], int] = lambda desk, asked: 0
    """Largest body, bytes."""
    waits: bool = True
    """Whether it needs the records of all photographs."""
