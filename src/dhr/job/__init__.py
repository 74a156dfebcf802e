"""The whole way from tags to masks, as one resumable job over a data set."""

from dhr.job.folder import OutputFolder
from dhr.job.run import Outcome, run
from dhr.job.settings import RunConfig

__all__ = ["Outcome", "OutputFolder", "RunConfig", "run"]
