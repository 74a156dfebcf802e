"""Stage: one look at all files of maps."""

from dataclasses import replace

from dhr.job.data_job import DataJob


class CheckFiles:
    """Leaves out photographs whose files cannot be used."""

    name = "maps"

    def done(self, job: DataJob) -> bool:
        """See :class:`~dhr.job.job.Stage`."""
        return not job.built.source.reads_files

    def run(self, job: DataJob) -> None:
        """See :class:`~dhr.job.job.Stage`."""
        found = job.usable
        sizes = {name: (seen.height, seen.width) for name, seen in found.seen.items()}
        checked = job.built.source.check(found.samples, sizes, job.progress)
        job.found = replace(found, samples=checked.samples)
        job.problems += checked.problems
        job.notes += checked.notes
        job.tentative = False
