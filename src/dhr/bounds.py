"""Checks of numbers in settings, each with the message that names the setting."""

import re
from typing import Any

from dhr.errors import ConfigError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def at_least(least: float | int, group: str, settings: Any, *names: str) -> None:
    """Refuse settings of ``group`` that are below ``least``, or NaN.

    Raises:
        ConfigError: one is; the message names it.
    """
    for name in names:
        if not getattr(settings, name) >= least:
            raise ConfigError(f"{group}.{name} must be {least} or more, got {getattr(settings, name)}")


def within(low: float | int, high: float | int, group: str, settings: Any, *names: str) -> None:
    """Refuse settings of ``group`` outside ``low`` to ``high``, or NaN.

    Raises:
        ConfigError: one is; the message names it.
    """
    for name in names:
        if not low <= getattr(settings, name) <= high:
            raise ConfigError(f"{group}.{name} must be in {low}..{high}, got {getattr(settings, name)}")


def below_one(group: str, settings: Any, *names: str) -> None:
    """Refuse settings of ``group`` that are not at least 0 and below 1.

    Raises:
        ConfigError: one is not; the message names it.
    """
    for name in names:
        if not 0 <= getattr(settings, name) < 1:
            raise ConfigError(f"{group}.{name} must be at least 0 and below 1, got {getattr(settings, name)}")


def check_scale(group: str, scale: tuple[float, float]) -> None:
    """Refuse a range of sizes whose ends are not positive and in order.

    Raises:
        ConfigError: the ends are not.
    """
    if not 0 < scale[0] <= scale[1]:
        raise ConfigError(f"{group}.scale must be two positive sizes, the smaller first; got {scale}")


def byte_count(text: str) -> int | None:
    """Return the number of bytes of a size such as `200GB` or `500MB`; None if it is not one.

    >>> byte_count("1.5GB"), byte_count("many")
    (1500000000, None)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    return int(float(found[1]) * _UNITS[found[2].upper()]) if found else None
