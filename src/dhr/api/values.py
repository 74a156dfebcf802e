"""Values of settings, fitted to the types of the settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from dhr.plain_yaml import parse_yaml


def fitted(value: Any, hint: Any) -> Any:
    """Return ``value`` as the type ``hint``: a path for text, a tuple for a list, a float for a whole number.

    Raises:
        ValueError: it does not fit; the message gives the expected type.

    >>> fitted([1, 2], tuple[float, ...])
    (1.0, 2.0)
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hasattr(value, "tolist"):  # a number or an array of NumPy or PyTorch
        value = value.tolist()
    if hint is Any or (hint is Path and isinstance(value, Path)):
        return value
    if origin in (Union, UnionType):
        return _any_of(value, inner)
    if origin is Literal and str(value) in map(str, inner):  # YAML reads 32 as a number, a command line 8 as text
        return next(one for one in inner if str(one) == str(value))
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML reads 1e-3 as text
        return _number(value)
    if hint in (bool, int, str) and type(value) is hint:
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else inner
        if len(kinds) == len(value):
            return tuple(fitted(one, kind) for one, kind in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return {fitted(key, inner[0]): fitted(one, inner[1]) for key, one in value.items()}
    raise ValueError(expected(hint))


def from_text(text: str, hint: Any) -> Any:
    """Return the text of an option as the type ``hint``.

    Raises:
        ValueError: it does not fit.

    >>> from_text("none", int | None), from_text("[1, 2]", tuple[float, ...])
    (None, (1.0, 2.0))
    >>> from_text("[a, b]", str | tuple[str, ...])
    ('a', 'b')
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if NoneType in kinds and text.lower() in (("null",) if str in kinds else ("none", "null")):
        return None
    listed = text.startswith("[") and any(get_origin(kind) is tuple for kind in kinds)
    if not listed and any(kind in (str, Path) or get_origin(kind) is Literal for kind in kinds):
        return fitted(text, hint)
    try:
        parsed = parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"{expected(hint)}; a text with signs such as {{}} stands in quotes") from error
    return fitted(parsed, hint)


def expected(hint: Any) -> str:
    """Return the values that a setting takes, in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(expected(kind) for kind in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        many = "" if inner[1:] == (...,) else f"{len(inner)} "
        return f"{many}values in brackets, each {expected(inner[0])}"
    plain = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    return plain.get(hint, "none" if hint is NoneType else "pairs, {name: value}" if origin is dict else "a value")


def shown(value: Any) -> str:
    """Return the text by which an option gets ``value``.

    >>> shown((1.0, 2.0)), shown(None)
    ('[1.0, 2.0]', 'none')
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(one)}" for key, one in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) and value == int(value) and abs(value) >= 1e6 else str(value)


def _any_of(value: Any, hints: Sequence[Any]) -> Any:
    if value is None and NoneType in hints:
        return None
    for hint in hints:
        try:
            return fitted(value, hint)
        except ValueError:
            continue
    raise ValueError(" or ".join(expected(hint) for hint in hints))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(expected(float)) from None
