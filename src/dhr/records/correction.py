"""The record of a person's decision on a photograph."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from dhr.records.members import VERSION, Count, Limits, parse_record

State = Literal["accepted", "mended", "rejected", "skipped"]
"""Accepted: the machine's mask is right. Mended: a person changed it. Rejected: the tags are wrong, or the photograph
is of no use. Skipped: shown again later; it has no effect. A photograph without a record is undecided."""

ClassId = Annotated[int, Limits(0, 254)]
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Correction:
    """A person's decision on a photograph: ``corrections/items/NAME.json``."""

    state: State
    """See docs/review.md."""
    digest: str
    """SHA-256, in hex, of the photograph that the person saw."""
    given: tuple[str, ...] = ()
    """Names of the classes that the data set tagged it with then."""
    tags: tuple[str, ...] = ()
    """Names of the classes that it is tagged with now."""
    labels: Mapping[str, ClassId] = field(default_factory=dict)
    """Class id by name, of the classes in the mask and of the tags."""
    mask: str = ""
    """SHA-256, in hex, of the file of the person's mask; empty if there is none."""
    machine: str = ""
    """SHA-256, in hex, of the file of the machine's mask that the person saw; empty if there was none."""
    source: str = "review"
    """Where it was made: `review`, `edited` (the file of the mask was changed), or `import:FORMAT`."""
    revision: Count = 1
    """Grows with each save."""
    version: Count = VERSION

    @property
    def certain(self) -> bool:
        """Whether a person says that the mask is right."""
        return self.state in ("accepted", "mended")

    @staticmethod
    def parse(value: Any) -> "Correction":
        """Read the value of ``corrections/items/NAME.json``.

        Raises:
            ValueError: it is damaged.
        """
        record = parse_record(Correction, value)
        record.check()
        if record.certain and not record.mask:
            raise ValueError(f"mask: expected the digest of a mask that is {record.state}")
        return record

    def check(self) -> None:
        """Check that the members fit together; the mask may still be missing.

        Raises:
            ValueError: they do not.
        """
        for name in ("digest", "mask", "machine"):
            value = getattr(self, name)
            if (value or name == "digest") and not _DIGEST.fullmatch(value):
                raise ValueError(f"{name}: expected a SHA-256 in hex; got {value[:40]!r}")
        if len({*self.labels.values()}) < len(self.labels):
            raise ValueError("labels: expected an id for each class; two classes share one")
        if unknown := [tag for tag in self.tags if tag not in self.labels]:
            raise ValueError(f"labels: expected an id for each tag; {unknown[0][:40]!r} has none")
