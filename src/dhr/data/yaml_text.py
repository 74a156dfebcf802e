"""YAML from outside: small, plain values; whatever could grow when it is read is refused before that."""

from pathlib import Path
from typing import Any

from dhr.data.classes import read_text
from dhr.errors import DataError
from dhr.plain_yaml import MAX_BYTES, parse_yaml


def read_table(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a table of names and values.

    Raises:
        DataError: it cannot be read, is over 1 MB, is not YAML or not a table, or
            :func:`~dhr.plain_yaml.check_yaml` refuses it.
    """
    try:
        value = parse_yaml(read_text(path, MAX_BYTES))
    except ValueError as error:
        raise DataError(f"{path}: not valid YAML ({str(error)[:200]}); correct it") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected names and values such as 'train: images/train', got something else")
    return {str(key): part for key, part in value.items()}
