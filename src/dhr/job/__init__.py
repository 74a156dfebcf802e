"""The whole way from tags to masks, as one resumable job over a data set."""

from typing import TYPE_CHECKING

from dhr.lazy import imported_from

__all__ = ["Outcome", "OutputFolder", "RunConfig", "run"]

if TYPE_CHECKING:
    from dhr.job.folder import OutputFolder
    from dhr.job.run import Outcome, run
    from dhr.job.settings import RunConfig
else:  # settings are checked before PyTorch is imported
    __getattr__ = imported_from(
        __name__,
        {
            "OutputFolder": "dhr.job.folder",
            "Outcome": "dhr.job.run",
            "RunConfig": "dhr.job.settings",
            "run": "dhr.job.run",
        },
    )
