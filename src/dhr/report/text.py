"""Texts on their way into the page: everything that a user named is shortened and escaped here."""

import html
import math

from dhr.words import megabytes

DASH = "\u2013"
"""Stands for an unknown number."""


def safe(value: str, limit: int = 80) -> str:
    """Escape a text for HTML, content or attribute; over ``limit`` characters the middle gives way to an ellipsis.

    >>> safe('<b>"'), safe("abcdefgh", limit=5)
    ('&lt;b&gt;&quot;', 'ab…gh')
    """
    if len(value) > limit:
        tail = (limit - 1) // 2
        value = f"{value[: limit - 1 - tail]}…{value[len(value) - tail :]}"
    return html.escape(value, quote=True)


def named(value: str, limit: int = 80) -> str:
    """Return a name as an element: its writing direction stays inside, its full text is the tooltip."""
    return f'<bdi title="{safe(value, 400)}">{safe(value, limit)}</bdi>'


def initial(name: str) -> str:
    """Return a name with a capital, as headings and captions begin.

    >>> initial("base mask"), initial("CAM")
    ('Base mask', 'CAM')
    """
    return name[:1].upper() + name[1:]


def percent(fraction: float | int, digits: int = 1) -> str:
    """Return a fraction as a percentage, a dash for NaN.

    >>> percent(0.1234), percent(float("nan")) == DASH
    ('12.3\u2009%', True)
    """
    return DASH if math.isnan(fraction) else f"{100 * fraction:.{digits}f}\u2009%"


def duration(seconds: float | int) -> str:
    """Return a measured time in words, a dash for NaN.

    >>> duration(3.21), duration(75), duration(7260)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if math.isnan(seconds):
        return DASH
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def memory(amount: float | int) -> str:
    """Return megabytes in words, a dash for NaN.

    >>> memory(512.4), memory(2048)
    ('512 MB', '2.0 GB')
    """
    return DASH if math.isnan(amount) else megabytes(amount)
