"""Answers that only look: the run, the queue, one photograph, its pictures and maps."""

import hashlib
import json
import re
from typing import Any

import numpy as np
from jaxtyping import UInt8
from starlette.responses import Response

from dhr.data.samples import VOID
from dhr.records.members import to_json
from dhr.review.answers import RefusedError, as_json, as_map
from dhr.review.desk import Asked, Desk, Endpoint
from dhr.review.entries import Decision
from dhr.review.layers import layers_of, step_mask, stored_cam, stored_tags
from dhr.review.photographs import Photograph, Photographs
from dhr.review.pictures import scale
from dhr.review.queue import Wanted, reason, state_of

_DAMAGED = "the record of its decision is damaged"
_NUMBER = re.compile(r"[0-9]{1,9}")


def number_of(asked: Asked) -> int:
    """Return the number of the photograph in the path.

    Raises:
        RefusedError: it is something else.
    """
    text = asked.parts["id"]
    if not _NUMBER.fullmatch(text):
        raise RefusedError(404, f"expected the number of a photograph; got {text[:40]!r}")
    return int(text)


def packed(asked: Asked) -> bool:
    """Tell whether the browser takes gzip."""
    return "gzip" in asked.headers.get("accept-encoding", "")


def session(desk: Desk, asked: Asked) -> Response:
    """Describe the run: classes, tools, counts."""
    photographs = desk.photographs
    classes, palette = photographs.classes, photographs.palette
    return as_json(
        {
            "run": photographs.run.folder.root.resolve().name,
            "identity": _identity(photographs),
            "classes": [
                {"id": number, "name": name, "colour": _colour(palette[number])}
                for number, name in enumerate(classes.names)
            ],
            "void": {"id": VOID, "colour": _colour(palette[VOID])},
            "background": classes.background,
            "tools": {**desk.mending.tools, "superpixels": True},
            "ready": photographs.ready,
            "read": {"done": photographs.done, "total": len(photographs.samples)},
            "counts": photographs.counts(),
        }
    )


def queue(desk: Desk, asked: Asked) -> Response:
    """List a part of the queue; waits until the records are read."""
    photographs = desk.photographs
    wanted = Wanted.parse(asked.query, photographs.classes)
    found, decisions = photographs.listed(wanted), photographs.decisions
    part = found[wanted.offset : wanted.offset + wanted.limit].tolist()
    shown = [_entry(desk, number, decisions.get(number)) for number in part]
    return as_json({"total": len(found), "entries": shown})


def photograph(desk: Desk, asked: Asked) -> Response:
    """Describe one photograph as it is now."""
    photographs = desk.photographs
    found = photographs.find(number_of(asked))
    photographs.opened(found.number)
    return as_json(
        {
            **_entry(desk, found.number, found.decision),
            "width": found.size[1],
            "height": found.size[0],
            "given": list(found.sample.tags),
            "scale": scale(found),
            "layers": layers_of(photographs.run.folder, found.sample.name),
            "cams": stored_tags(photographs, found) or list(found.sample.tags),
            "outdated": "" if found.decision is None else found.decision.outdated,
            "problem": photographs.problem(found),
            "damaged": found.damaged,
        }
    )


def image(desk: Desk, asked: Asked) -> Response:
    """Return the photograph, upright."""
    found = desk.photographs.shown(number_of(asked))
    return _unless_known(asked, found.item.digest) or _picture(desk.pictures.image(found), found.item.digest)


def thumb(desk: Desk, asked: Asked) -> Response:
    """Return a small picture of the photograph under its mask."""
    found = desk.photographs.find(number_of(asked))
    key = f"{found.item.digest[:16]}-{desk.photographs.mask_key(found)}"
    if (known := _unless_known(asked, key)) is not None:
        return known
    if problem := desk.photographs.problem(found):
        raise RefusedError(409, problem)
    return _picture(desk.pictures.thumb(found, key), key)


def mask(desk: Desk, asked: Asked) -> Response:
    """Return the present mask."""
    found = desk.photographs.shown(number_of(asked))
    return as_map(desk.photographs.mask(found), packed(asked), _revision(found))


def machine(desk: Desk, asked: Asked) -> Response:
    """Return the mask as the run made it."""
    found = desk.photographs.shown(number_of(asked))
    return as_map(desk.photographs.machine(found), packed(asked), _revision(found))


def layer(desk: Desk, asked: Asked) -> Response:
    """Return the mask after a step of the method."""
    found = desk.photographs.shown(number_of(asked))
    return as_map(step_mask(desk.photographs, found, asked.parts["step"]), packed(asked))


def cam(desk: Desk, asked: Asked) -> Response:
    """Return the heat map of a class: the one that the run kept, else one of the networks."""
    found, text = desk.photographs.shown(number_of(asked)), asked.parts["class"]
    tag = int(text) if _NUMBER.fullmatch(text) else -1
    if tag not in desk.photographs.classes.foreground:
        raise RefusedError(404, f"expected the id of a class that can be tagged; got {text[:40]!r}")
    values = stored_cam(desk.photographs, found, tag)
    if values is None:
        values = desk.mending.cam(found.sample.name, tag)
    if values is None:
        raise RefusedError(404, f"there is no CAM of {desk.photographs.classes.names[tag]} for this photograph")
    return as_map(values, packed(asked))


def superpixels(desk: Desk, asked: Asked) -> Response:
    """Return the number of the superpixel of each pixel."""
    found = desk.photographs.shown(number_of(asked))
    return as_map(desk.pictures.superpixels(found), packed(asked))


LOOKS = (
    Endpoint("/api/session", session, waits=False),
    Endpoint("/api/queue", queue),
    Endpoint("/api/photographs/{id}", photograph),
    Endpoint("/api/photographs/{id}/image", image),
    Endpoint("/api/photographs/{id}/thumb", thumb, "thumb"),
    Endpoint("/api/photographs/{id}/mask", mask),
    Endpoint("/api/photographs/{id}/machine", machine),
    Endpoint("/api/photographs/{id}/layer/{step}", layer),
    Endpoint("/api/photographs/{id}/cam/{class}", cam, "network"),
    Endpoint("/api/photographs/{id}/superpixels", superpixels, "cells"),
)


def _entry(desk: Desk, number: int, decision: Decision | None) -> dict[str, Any]:
    photographs = desk.photographs
    entry, names = photographs.entries.get(number), photographs.classes.names
    assert entry is not None  # the list, and `find`, give no others
    return {
        "id": number,
        "name": entry.name,
        "state": state_of(decision),
        "revision": 0 if decision is None else decision.revision,
        "rank": round(entry.rank, 6),
        "vanished": [names[one] for one in entry.vanished],
        "tags": list((decision or photographs.samples[number]).tags),
        "reason": _DAMAGED if photographs.is_damaged(number) else reason(entry, photographs.classes),
    }


def _identity(photographs: Photographs) -> str:
    """Return a text that tells runs apart, for a page that outlives its server."""
    run = photographs.run
    content = json.dumps([str(run.folder.root.resolve()), to_json(run.record.identity)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _colour(rgb: UInt8[np.ndarray, "3"]) -> str:
    return f"#{rgb.tobytes().hex()}"


def _revision(found: Photograph) -> dict[str, str]:
    return {"X-Revision": str(found.revision)}


def _unless_known(asked: Asked, key: str) -> Response | None:
    """Return the short answer if the browser has the content of this key."""
    etag = f'"{key}"'
    return Response(status_code=304, headers={"ETag": etag}) if asked.headers.get("if-none-match") == etag else None


def _picture(content: bytes, key: str) -> Response:
    headers = {"ETag": f'"{key}"', "Cache-Control": "private, no-cache"}
    return Response(content, media_type="image/jpeg", headers=headers)
