"""Characters that XML cannot hold, even escaped."""

import re

from dhr.data.samples import ClassTable
from dhr.errors import ConfigError

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def holds(text: str) -> bool:
    """Return whether XML 1.0 can hold ``text``.

    >>> holds("猫 <&> =1+1"), holds("a\\ufffe")
    (True, False)
    """
    return _ILLEGAL.search(text) is None


def check_names(classes: ClassTable) -> None:
    """Raise ConfigError if XML cannot hold the name of a class."""
    for name in classes.names:
        if not holds(name):
            raise ConfigError(f"XML cannot hold the class name {name!r}; rename it in classes.txt")
