"""The whole way from tags to masks, as one resumable job over a data set."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["Outcome", "OutputFolder", "RunConfig", "run"]

_HOME = dict.fromkeys(("Outcome", "run"), "dhr.job.run") | {
    "OutputFolder": "dhr.job.folder",
    "RunConfig": "dhr.job.settings",
}

if TYPE_CHECKING:
    from dhr.job.folder import OutputFolder
    from dhr.job.run import Outcome, run
    from dhr.job.settings import RunConfig
else:

    class _Package(ModuleType):
        """Keeps the function `run` where an import of the module `run` would hide it."""

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in _HOME or not isinstance(value, ModuleType):
                super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package

    def __getattr__(name: str) -> Any:
        """Import what is asked for: settings are checked before PyTorch is imported."""
        if name not in _HOME:
            raise AttributeError(f"module 'dhr.job' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)
