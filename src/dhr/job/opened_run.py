"""A run that was made before, opened to work with its masks."""

from dataclasses import dataclass

from dhr.corrections import Corrections
from dhr.corrections.above_rows import CorrectedRows
from dhr.data.samples import DataSet
from dhr.job.folder import OutputFolder
from dhr.job.settings import RunConfig
from dhr.records.run import RunRecord
from dhr.results.files import FileMasks
from dhr.results.opened import rows_of_run
from dhr.results.protocol import Masks


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

    @property
    def masks(self) -> Masks:
        """Its masks and records; raises DataError if they are rows, and none can be used."""
        rows, root = rows_of_run(self.folder.root), self.folder.root
        return FileMasks.of_run(root, self.folder.shards) if rows is None else CorrectedRows(rows, self.corrections)
