"""The whole way from tags to masks, as one resumable job over a data set."""

from importlib import import_module
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

    def __getattr__(name: str) -> Any:
        """Import what is asked for: settings are checked before PyTorch is imported."""
        if name not in _HOME:
            raise AttributeError(f"module 'dhr.job' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)
