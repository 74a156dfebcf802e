"""Settings in YAML, in a file and on the command line."""

from pathlib import Path
from typing import Any

from jsonargparse import get_loader, set_loader

from dhr.files import read_regular
from dhr.plain_yaml import MAX_BYTES, check_yaml, parse_yaml
from dhr.words import one_line


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        OSError: it cannot be read, is no regular file, or too large; ``strerror`` says why.
        ValueError: it is no YAML, or :func:`~dhr.plain_yaml.check_yaml` refuses it; one line says why.
    """
    return parse_yaml(read_regular(path, MAX_BYTES).decode())


def load_yaml(text: str) -> Any:
    """The value of a YAML text, as jsonargparse reads it: a single name with a colon stays text.

    Raises:
        ValueError: it is no YAML, or :func:`~dhr.plain_yaml.check_yaml` refuses it; one line says why.

    >>> load_yaml("classifier: {epochs: 3}")
    {'classifier': {'epochs': 3}}
    """
    check_yaml(text)
    try:
        return _LOAD(text)
    except Exception as error:  # of a tag that does not fit, it raises whatever it comes to
        raise ValueError(one_line(error)) from error


def guard_parsers() -> None:
    """Have jsonargparse read all YAML, in files and on the command line, by :func:`load_yaml`."""
    set_loader("yaml", load_yaml, exceptions=(ValueError,))


_LOAD = get_loader("yaml")
