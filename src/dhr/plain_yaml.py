"""Read YAML from outside: small, plain values; everything that could grow while it is read is refused first."""

import re
from typing import Any

import yaml

from dhr.words import one_line

MAX_BYTES = 1_000_000
"""Largest file."""
_DEEPEST = 20
_DIGITS = 100
_NUMBER = re.compile(rf"[-+.:_0-9a-fA-FxXoO]{{{_DIGITS},}}")  # text that could be taken for one number


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text; raises ValueError in one line if it is not YAML or :func:`check_yaml` refuses
    it.

    >>> parse_yaml("classifier: {epochs: 3}")
    {'classifier': {'epochs': 3}}
    """
    check_yaml(text)
    try:
        return yaml.safe_load(text)
    except Exception as error:  # for a 13th month, or a tag that does not fit, it raises any exception
        raise ValueError(one_line(error)) from error


def check_yaml(text: str) -> None:
    """Refuse YAML that grows when it is read (aliases, deep nesting, endless numbers), and keys that occur twice.

    Raises ValueError if one of these is in it, or it is not YAML.

    >>> check_yaml("a: &one [1]\\nb: *one")
    Traceback (most recent call last):
    ValueError: line 2: aliases such as *one are not read; write the value again
    """
    open_keys: list[set[str] | None] = []  # of each open collection: the keys of a table so far, or None of a list
    is_key: list[bool] = []  # whether the next value in it is a key
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            line = 0 if event.start_mark is None else event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"line {line}: aliases such as *{event.anchor} are not read; write the value again")
            if isinstance(event, yaml.NodeEvent) and open_keys and (keys := open_keys[-1]) is not None:
                if is_key[-1] and isinstance(event, yaml.ScalarEvent):
                    if event.value in keys:
                        raise ValueError(f"line {line}: the key {event.value[:60]!r} occurs twice; join the two")
                    keys.add(event.value)
                is_key[-1] = not is_key[-1]
            if isinstance(event, yaml.CollectionStartEvent):
                open_keys.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
                is_key.append(True)
                if len(open_keys) > _DEEPEST:
                    raise ValueError(f"line {line}: nested over {_DEEPEST} deep")
            elif isinstance(event, yaml.CollectionEndEvent):
                open_keys.pop()
                is_key.pop()
            elif isinstance(event, yaml.ScalarEvent) and event.implicit[0] and _NUMBER.match(event.value):
                raise ValueError(f"line {line}: a number of over {_DIGITS} digits")
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(one_line(error)) from error
