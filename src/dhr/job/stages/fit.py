"""Stage: a training that the map source needs before it can see."""

from dataclasses import dataclass

from dhr.job.data_job import DataJob
from dhr.sources import Fitting


@dataclass(frozen=True)
class FitSource:
    """Trains a part of the map source, such as the classifier."""

    fitting: Fitting

    @property
    def name(self) -> str:
        """See :class:`~dhr.job.job.Stage`."""
        return self.fitting.name

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        return job.is_made(self.name) and job.folder.fitted(self.fitting.file).is_file()

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        path = job.folder.fitted(self.fitting.file)
        if not path.is_file():  # else the call was killed before it could record the file
            self.fitting.fit(job.data, job.usable.samples, job.folder.checkpoint(self.name), job.progress)
            self.fitting.save(path)
