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
SHARES = {"kills": 2.4, "reviews": 0.5, "faults": 0.6, "edits": 1.1, "pairs": 0.6, "bombs": 0.4, "fuzz": 6.4}
"""The time of each, in proportion: an hour has as many rounds of each as a release needs, and the rest is fuzzing."""
