"""YAML from outside: small, plain, and without aliases, with which a few bytes can stand for gigabytes."""

from pathlib import Path
from typing import Any

import yaml

from dhr.data.classes import read_text
from dhr.errors import DataError

_MOST = 1_000_000  # bytes


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a table of names and values.

    Raises:
        DataError: it cannot be read, is over 1 MB, no YAML, no table, or has aliases.
    """
    text = read_text(path, _MOST)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise DataError(f"{path}: aliases (*{event.anchor}) are refused; write out what they stand for")
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: of dates and numbers
        reason = " ".join(str(error).split()) if not isinstance(error, RecursionError) else "nested too deep"
        raise DataError(f"{path}: not valid YAML ({reason[:200]}); correct it") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected names and values such as 'train: images/train', got something else")
    return {str(key): part for key, part in value.items()}
