"""Stage: the masks."""

from dataclasses import replace

import torch

from dhr.data.samples import Problem
from dhr.errors import ItemError
from dhr.job.data_job import DataJob
from dhr.job.masks import MaskMaker
from dhr.job.models import Models
from dhr.job.scan import Scan
from dhr.progress import Step
from dhr.sources import Given


class MakeMasks:
    """Makes the masks of the map source."""

    name = "masks"

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        return False

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        make_masks(job, self.name, job.usable, job.built)


class MakeSecondMasks:
    """Makes the masks of the student's maps, which are the result of a run with recursion."""

    name = "second masks"

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        return False

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        from dhr.sources.student import StudentSource

        source = StudentSource(Given(job.config, job.data.classes, job.device), job.student)
        make_masks(job, self.name, with_first(job), Models(source, job.built.uss))


def with_first(job: DataJob) -> Scan:
    """The photographs whose first mask is finished."""
    missing = {sample.name for sample in job.first.unfinished(job.usable)}
    return replace(job.usable, samples=tuple(one for one in job.usable.samples if one.name not in missing))


def make_masks(job: DataJob, stage: str, found: Scan, models: Models) -> None:
    """Make all masks that are not finished; those that cannot be made are problems of the job."""
    items = job.first if stage == "masks" else job.final
    todo, total = items.unfinished(found), len(found.samples)
    make = MaskMaker(job.data, models, job.config, items.folder, job.survey, items.turn)
    for done, sample in enumerate(todo, start=total - len(todo)):
        job.progress(Step(stage, done, total))
        try:
            items.make_room(sample.name)
            make(sample, found.seen[sample.name].digest)
        except ItemError as error:
            job.problems.append(Problem(sample.source, str(error)))
        except (MemoryError, torch.OutOfMemoryError):
            job.problems.append(Problem(sample.source, "not enough memory to work on it; lower --image.long-side"))
    job.progress(Step(stage, total, total))
