"""Stage: a student learns the first masks of a run with recursion."""

from functools import partial

from dhr.errors import ConfigError
from dhr.job.data_job import DataJob
from dhr.job.stages.masks import with_first
from dhr.job.student_kinds import begin_joint
from dhr.job.students import trained_student
from dhr.job.taught_masks import Masks
from dhr.records.members import to_json
from dhr.train.fabric import make_fabric


class TrainStudent:
    """Trains the student on the photographs that have a first mask, or reads it."""

    name = "student"

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        return False

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        fabric = make_fabric(job.config.student_training, job.device)
        if fabric.world_size > 1:
            raise ConfigError("dhr run works in one process; with several, use dhr train")
        begin = partial(begin_joint, job.built, job, fabric, masks=True)
        masks = Masks(job.folder.first.masks, job.data.classes)
        about = {"identity": to_json(job.record.identity)}
        learned = trained_student(job, with_first(job).samples, begin, masks, fabric, about)
        job.student = learned.student
        job.problems += learned.problems
