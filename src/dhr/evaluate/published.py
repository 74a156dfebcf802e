"""Published figures; apart from the table, so that rows are read without numba."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Published:
    """A figure of a publication; it was not measured here."""

    miou: float
    """Percent."""
    source: str
    """The publication, and how its figure differs from ours."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"miou": self.miou, "source": self.source}
