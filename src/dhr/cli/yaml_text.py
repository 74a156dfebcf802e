"""YAML from outside: small, plain values; whatever could grow when it is read is refused before that."""

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from dhr.data.yaml_text import check_yaml
from dhr.files import read_regular

MAX_BYTES = 1_000_000
"""Largest file of settings."""


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        OSError: it cannot be read, is no regular file, or too large; ``strerror`` says why.
        ValueError: it is no YAML, or :func:`~dhr.data.yaml_text.check_yaml` refuses it; one line says why.
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
        ValueError: it is no YAML, or :func:`~dhr.data.yaml_text.check_yaml` refuses it; one line says why.

    >>> load_yaml("train: {epochs: 3}")
    {'train': {'epochs': 3}}
    """
    check_yaml(text)
    try:
        return _LOAD(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def guard_parsers() -> None:
    """Have jsonargparse read all YAML, in files and on the command line, by :func:`load_yaml`."""
    set_loader("yaml", load_yaml, exceptions=(ValueError,))


_LOAD = get_loader("yaml")
