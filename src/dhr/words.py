"""Small texts for messages and pages: names of stages, counts with their nouns, percent, texts in one line."""

import math
import re

STAGE_NAMES = {
    "cam": "CAM",
    "base": "base mask",
    "seed": "Step 1, seeds",
    "inter": "Step 2, inter-class",
    "intra": "Step 3, intra-class",
    "mask": "final mask",
}
"""Names of the masks that a run keeps, in the order of the method."""


# Control characters, other line ends, bytes that are not UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text: str) -> str:
    """Return the text in one line, fit for any output.

    >>> printable("a\\nb.png")
    'a\ufffdb.png'
    """
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def without(place: object, error: BaseException) -> str:
    """Return the message of an error without the place at its head, which stands elsewhere.

    >>> without("a.png", ValueError("a.png: it is damaged"))
    'it is damaged'
    """
    return str(error).removeprefix(f"{printable(str(place))}: ")


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, in the singular for 1.

    >>> counted(1, "photograph"), counted(1200, "photograph"), counted(2, "class", "classes")
    ('1 photograph', '1,200 photographs', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent(share: float, signed: bool = False) -> str:
    """Return a share, 0..1, in percent; NaN is a dash.

    >>> percent(0.1234), percent(float("nan")), percent(0.05, signed=True)
    ('12.3', '-', '+5.0')
    """
    if math.isnan(share):
        return "-"
    return f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}"


def duration(seconds: float) -> str:
    """Return an estimated time in words, rounded.

    >>> duration(28.4), duration(239.0), duration(9000.0)
    ('28 s', '4 min', '2.5 h')
    """
    minutes = seconds / 60
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def megabytes(amount: float | int) -> str:
    """Return an amount of memory or disk in words.

    >>> megabytes(0.2), megabytes(340.0), megabytes(2340.0)
    ('1 MB', '340 MB', '2.3 GB')
    """
    return f"{max(amount, 1):.0f} MB" if amount < 999.5 else f"{amount / 1000:.1f} GB"


def one_line(error: BaseException, longest: int = 300) -> str:
    """Return the message of an exception in one line, or the name of its class.

    >>> one_line(ValueError("a  b\\n c")), one_line(KeyError())
    ('a b c', 'KeyError')
    """
    return " ".join(str(error).split())[:longest] or type(error).__name__
