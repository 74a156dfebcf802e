"""YAML from outside: small, plain values; whatever could grow when it is read is refused before that."""

import re
from pathlib import Path
from typing import Any

import yaml

from dhr.data.classes import read_text
from dhr.errors import DataError

_MOST = 1_000_000  # bytes
_DEEPEST = 20
_DIGITS = 100
_NUMBER = re.compile(rf"[-+.:_0-9a-fA-FxXoO]{{{_DIGITS},}}")  # what could be taken for one number


def read_table(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a table of names and values.

    Raises:
        DataError: it cannot be read, is over 1 MB, is no YAML or no table, or :func:`check_yaml` refuses it.
    """
    text = read_text(path, _MOST)
    try:
        check_yaml(text)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # such as a 13th month
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not valid YAML ({reason}); correct it") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected names and values such as 'train: images/train', got something else")
    return {str(key): part for key, part in value.items()}


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
            line = event.start_mark.line + 1 if event.start_mark is not None else 0
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
