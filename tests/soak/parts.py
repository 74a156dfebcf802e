"""The parts of a soak: each does one round, chosen by a seed, and counts."""

from collections import Counter
from collections.abc import Callable

from .bombs import bomb
from .edits import edit
from .faults import fault
from .fuzz import fuzz
from .kills import kill
from .pairs import pair
from .reviews import review
from .session import Session

PARTS: dict[str, Callable[[Session, int], Counter[str]]] = {
    "kills": kill,
    "reviews": review,
    "faults": fault,
    "edits": edit,
    "pairs": pair,
    "bombs": bomb,
    "fuzz": fuzz,
}
SHARES = {"kills": 2.0, "reviews": 1.0, "faults": 2.0, "edits": 2.0, "pairs": 1.0, "bombs": 1.0, "fuzz": 3.0}
"""The time of each, in proportion."""
