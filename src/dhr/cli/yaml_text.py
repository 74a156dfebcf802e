"""YAML from outside: small, plain values; whatever could grow when it is read is refused before that."""

import re
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from dhr.files import read_regular

MAX_BYTES = 1_000_000
"""Largest file of settings."""
_DEEPEST = 20
_DIGITS = 100
_NUMBER = re.compile(rf"[-+.:_0-9a-fA-FxXoO]{{{_DIGITS},}}")  # what could be taken for one number


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        OSError: it cannot be read, is no regular file, or too large; ``strerror`` says why.
        ValueError: it is no YAML, or :func:`check_yaml` refuses it; one line says why.
    """
    text = read_regular(path, MAX_BYTES).decode()
    check_yaml(text)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # such as a 13th month
        raise ValueError(" ".join(str(error).split())) from error


def load_yaml(text: str) -> Any:
    """The value of a YAML text, as jsonargparse reads it: a single name with a colon stays text.

    Raises:
        ValueError: it is no YAML, or :func:`check_yaml` refuses it; one line says why.

    >>> load_yaml("train: {epochs: 3}")
    {'train': {'epochs': 3}}
    """
    check_yaml(text)
    try:
        return _LOAD(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def check_yaml(text: str) -> None:
    """Refuse what is larger when it is read than when it is written: aliases, deep nesting, endless numbers.

    Raises:
        ValueError: one of these is in it, or it is no YAML.

    >>> check_yaml("a: &one [1]\\nb: *one")
    Traceback (most recent call last):
    ValueError: line 2: aliases such as *one are not read; write the value again
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            line = 0 if event.start_mark is None else event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"line {line}: aliases such as *{event.anchor} are not read; write the value again")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    raise ValueError(f"line {line}: nested over {_DEEPEST} deep")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.ScalarEvent) and event.implicit[0] and _NUMBER.match(event.value):
                raise ValueError(f"line {line}: a number of over {_DIGITS} digits")
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def guard_parsers() -> None:
    """Have jsonargparse read all YAML, in files and on the command line, by :func:`load_yaml`."""
    set_loader("yaml", load_yaml, exceptions=(ValueError,))


_LOAD = get_loader("yaml")
