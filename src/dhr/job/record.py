"""What a run wrote about itself, read back: checked as if it were anybody's, since folders are sent around."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dhr.parsing import Fields

MAX_SIDE = 1 << 31
_GROUPS = ("wss", "uss", "classifier")
_DIGESTS = ("weights", "head", "maps", "file")


def check_run(value: Any) -> dict[str, Any]:
    """The record of a run, ``run.json``, as far as a later call relies on it.

    Raises:
        ValueError: it is of something else than a run, or damaged.

    >>> check_run({"status": "running", "identity": {}})["status"]
    'running'
    """
    record = Fields(value)
    _check_identity(record.fields("identity"))
    if "status" in record:
        record.text("status")
    for entry in record.entries("stages") if "stages" in record else ():
        row = Fields(entry, "stages")
        row.text("name")
        for name in row.names():
            if name != "name":
                row.number(name, 0)
    return dict(value)


def _check_identity(identity: Fields) -> None:
    for name in ("dhr", "photographs and tags"):
        if name in identity:
            identity.text(name)
    if "settings" not in identity:
        return
    settings = identity.fields("settings")
    if "features" in settings:
        settings.text("features")
    for group in _GROUPS:
        if group in settings:
            part = settings.fields(group)
            for name in _DIGESTS:
                if name in part:
                    part.text(name)


@dataclass(frozen=True)
class ItemRecord:
    """The record of a finished photograph, as far as a later call relies on it."""

    digest: str
    """SHA-256, in hex, of the photograph that the mask was made of."""
    tags: tuple[str, ...]
    """Names of classes."""
    width: int
    height: int
    ratios: Mapping[str, float]
    """Share of the mask, 0..1, by class name."""
    vanished: tuple[str, ...]
    """Names of tagged classes without a pixel in the mask."""

    @staticmethod
    def parse(value: Any) -> "ItemRecord":
        """From the value of ``items/NAME.json``.

        Raises:
            ValueError: it is damaged.
        """
        record = Fields(value)
        ratios = record.fields("ratios")
        return ItemRecord(
            digest=record.text("digest"),
            tags=record.texts("tags", 256),
            width=record.whole("width", 1, MAX_SIDE),
            height=record.whole("height", 1, MAX_SIDE),
            ratios={name: ratios.number(name, 0, 1) for name in ratios.names()},
            vanished=record.texts("vanished", 256),
        )
