"""Stage: both models are built."""

from dhr.job.data_job import DataJob
from dhr.job.models import build_models


class BuildModels:
    """Builds the map source and the USS network.

    In a new folder this comes first: weights that cannot be had should be known before hours are spent on reading
    photographs, and before the folder is of these settings.
    """

    name = "models"

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        return job.models is not None

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        job.models = build_models(job.data, job.config, job.folder, job.device)
        # Files of maps may need other settings, which is known once all of them were looked at.
        job.tentative = job.tentative and job.models.source.reads_files
