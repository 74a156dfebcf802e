"""Stage: every photograph is read once."""

from collections.abc import Callable
from dataclasses import dataclass

from dhr.job.data_job import DataJob


@dataclass(frozen=True)
class ReadPhotographs:
    """Reads all photographs, then settles what their changes mean."""

    settle: Callable[[DataJob], None]
    name: str = "scan"

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        return False

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        job.scan()
        self.settle(job)
