"""Words that several parts of the program print: counts, percent, and the names of the stages of a mask."""

import math

STAGE_NAMES = {
    "cam": "CAM",
    "base": "base mask",
    "seed": "Step 1, seeds",
    "inter": "Step 2, inter-class",
    "intra": "Step 3, intra-class",
    "mask": "final mask",
}
"""Names of the masks that a run keeps."""


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "photograph"), counted(2, "photograph"), counted(0, "class", "classes")
    ('1 photograph', '2 photographs', '0 classes')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def percent(share: float, signed: bool = False) -> str:
    """Return a share, 0..1, in percent; NaN is a dash.

    >>> percent(0.1234), percent(float("nan")), percent(0.05, signed=True)
    ('12.3', '-', '+5.0')
    """
    if math.isnan(share):
        return "-"
    return f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}"
