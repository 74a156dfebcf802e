"""A run that was made before, opened to work with its masks."""

from dataclasses import dataclass

from dhr.corrections import Corrections
from dhr.data.samples import DataSet
from dhr.job.folder import OutputFolder
from dhr.job.settings import RunConfig
from dhr.records.run import RunRecord


@dataclass(frozen=True)
class OpenedRun:
    """An output folder of `dhr run`, with its photographs and settings."""

    folder: OutputFolder
    record: RunRecord
    data: DataSet
    """The photographs, with the tags that the data set gives them."""
    config: RunConfig
    """All settings of the last call."""

    @property
    def corrections(self) -> Corrections:
        """The corrections of its masks."""
        return Corrections.of(self.folder.root)
