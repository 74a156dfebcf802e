"""The whole way from tags to masks, as one resumable job over a data set."""

from dhr.pipeline.folder import OutputFolder
from dhr.pipeline.run import Outcome, run
from dhr.pipeline.settings import RunConfig

__all__ = ["Outcome", "OutputFolder", "RunConfig", "run"]
