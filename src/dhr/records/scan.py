"""The record of a scan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dhr.records.members import VERSION, Count, Side, parse_record


@dataclass(frozen=True, slots=True)
class Scanned:
    """A photograph as the scan read it."""

    digest: str
    """SHA-256, in hex, of its content."""
    reason: str | None = None
    """Why it cannot be used."""
    size: tuple[Side, Side] | None = None
    """Height and width; null if it cannot be used."""
    tags: tuple[str, ...] | None = None
    """Names of the tagged classes, those of its correction if it has one; unknown in files of dhr before 1.0."""
    rejected: bool | None = None
    """Whether a person rejected it."""

    @property
    def height(self) -> int:
        """Height of a usable photograph."""
        return 0 if self.size is None else self.size[0]

    @property
    def width(self) -> int:
        """Width of a usable photograph."""
        return 0 if self.size is None else self.size[1]


@dataclass(frozen=True)
class ScanRecord:
    """All photographs of a run: ``work/scan.json``."""

    photographs: Mapping[str, Scanned] = field(default_factory=dict)
    """By name."""
    version: Count = VERSION

    @staticmethod
    def parse(value: Any) -> "ScanRecord":
        """Read the value of ``work/scan.json``; files of dhr before 1.0 hold the photographs alone.

        Raises:
            ValueError: it is damaged.
        """
        whole = isinstance(value, dict) and isinstance(value.get("version"), int)
        record = parse_record(ScanRecord, value if whole else {"photographs": value})
        if any(one.reason is None and one.size is None for one in record.photographs.values()):
            raise ValueError("photographs: expected a size, or the reason why one cannot be used")
        return record
