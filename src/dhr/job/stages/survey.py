"""Stage: the survey of all photographs."""

from dhr.job.data_job import DataJob
from dhr.job.survey import make_survey


class FitSurvey:
    """Fits the discriminants of the classes, or reads them."""

    name = "survey"

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        if self.name not in job.chain:
            return True
        return not job.config.recursion and not job.first.unfinished(job.usable)

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        samples, progress = job.usable.samples, job.progress
        job.survey = make_survey(job.built, job.data, samples, job.config, job.folder, progress)
