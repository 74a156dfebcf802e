"""Packages whose names are imported when they are asked for."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def imported_from(package: str, home: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` that finds names in the modules that define them.

    Where a name is also that of a module of the package (``dhr.evaluate``), it stays that of the function.

    Args:
        package: the name of the package.
        home: the module of each name.
    """

    class Package(ModuleType):
        """Refuses to have its names replaced by modules, which importing these would do."""

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in home or not isinstance(value, ModuleType):
                super().__setattr__(name, value)

    def find(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    sys.modules[package].__class__ = Package
    return find
