"""YAML from outside: small, plain, and without aliases, with which a few bytes can stand for gigabytes."""

from pathlib import Path
from typing import Any

from dhr.data.classes import read_text
from dhr.errors import DataError
from dhr.plain_yaml import MAX_BYTES, parse_yaml


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a table of names and values.

    Raises:
        DataError: it cannot be read, is over 1 MB, no YAML, no table, or has aliases.
    """
    try:
        value = parse_yaml(read_text(path, MAX_BYTES))
    except ValueError as error:
        raise DataError(f"{path}: not valid YAML ({str(error)[:200]}); correct it") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected names and values such as 'train: images/train', got something else")
    return {str(key): part for key, part in value.items()}
