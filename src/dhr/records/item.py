"""The record of a finished photograph."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dhr.parsing import MAX_RECORD
from dhr.records.correction import State
from dhr.records.members import VERSION, Amount, Count, Share, Side, parse_record, read_record


@dataclass(frozen=True)
class ItemRecord:
    """A photograph whose mask is finished: ``items/NAME.json``, which is written last."""

    digest: str
    """SHA-256, in hex, of the photograph from which the mask was made."""
    width: Side
    height: Side
    tags: tuple[str, ...] = ()
    """Names of the tagged classes."""
    ratios: Mapping[str, Share] = field(default_factory=dict)
    """Share of the mask, by class name."""
    vanished: tuple[str, ...] = ()
    """Names of tagged classes without a pixel in the mask."""
    image: str = ""
    """The source of the photograph: its file, or its place in another file."""
    quality: Share | None = None
    """Quality of the mask, for review."""
    moved: Amount | None = None
    """Change of the marginals in the last round."""
    seconds: Amount | None = None
    """Seconds that the mask took."""
    mask: str = ""
    """SHA-256, in hex, of the mask as it was written. A mask with another digest was changed by a person."""
    table: str = ""
    """The class table of the mask's class ids, see `table_key`."""
    turn: Count = 1
    """How many times the masks of the run were begun, from 1. It stays 1 for the mask of a person, which lasts."""
    person: State | None = None
    """The state of the photograph's correction, if the mask is that of a person."""
    changed: Count | None = None
    """Pixels that differ from the mask that this one replaced; null if there was none of this size and class table."""
    version: Count = VERSION

    @staticmethod
    def parse(value: Any) -> "ItemRecord":
        """Read the value of ``items/NAME.json``.

        Raises:
            ValueError: it is damaged.
        """
        return parse_record(ItemRecord, value)


def read_item(path: Path) -> ItemRecord | None:
    """Read the record of a finished photograph; None if it is missing or damaged."""
    try:
        return read_record(ItemRecord, path, MAX_RECORD)
    except (OSError, ValueError):
        return None


def table_key(names: Sequence[str], background: bool) -> str:
    """Return the number of classes, with a digest of their names in order.

    >>> table_key(["cat", "dog"], background=False)
    '2:180cad43'
    """
    return f"{len(names)}:{hashlib.sha256(json.dumps([list(names), background]).encode()).hexdigest()[:8]}"


def numbers_hold(key: str, names: Sequence[str], background: bool) -> bool:
    """Return whether ids of the table ``key`` mean the same in this one: it is equal, or has more classes at its end.

    >>> numbers_hold(table_key(["cat"], False), ["cat", "dog"], False)
    True
    """
    count = key.partition(":")[0]
    return count.isdecimal() and table_key(names[: int(count)], background) == key
