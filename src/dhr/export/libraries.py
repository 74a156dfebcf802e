"""Libraries of the extra ``formats``, imported when a format needs them."""

import importlib
from types import ModuleType

from dhr.errors import ConfigError


def library(name: str) -> ModuleType:
    """Return the module ``name``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"this format needs {name.partition('.')[0]}, which is not installed ({error}); pip install 'dhr[formats]'"
        ) from error
