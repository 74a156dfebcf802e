"""USS features of photographs, kept in the folder for the training of a student."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.samples import Problem, Sample
from dhr.errors import ItemError
from dhr.features import Features
from dhr.features.entry import read_entry
from dhr.features.fill import working_images
from dhr.job.data_job import DataJob
from dhr.job.folder import OutputFolder
from dhr.job.kept import Keeper
from dhr.progress import Step


@dataclass(frozen=True)
class KeptFeatures:
    """Reads USS features that :func:`keep_features` wrote."""

    folder: OutputFolder

    def __call__(self, sample: Sample) -> Float[Tensor, "d u v"]:
        """Return F_us of a photograph on the grid of its working image."""
        path = self.folder.features(sample.name)
        try:
            packed = read_entry(path)
        except ItemError as error:
            raise ItemError(f"{error}; start the training again, and they are made again") from error
        if packed is None:
            raise ItemError(f"its kept features {path} are gone; start the training again, and they are made again")
        return packed.unpacked(torch.device("cpu"))[0]


def keep_features(job: DataJob, samples: Sequence[Sample], uss: Features) -> dict[str, Problem]:
    """Keep the USS features of all photographs in the folder: from their drafts, from the store, or computed; present
    ones stay.

    Returns:
        By name, the photographs without features, and why.
    """
    problems, drafts = {}, Keeper(job.folder, job.data.classes, uss.channels)
    for done, (sample, loaded) in enumerate(working_images(job.data, samples, job.config.image.long_side)):
        job.progress(Step("USS features", done, len(samples)))
        path = job.folder.features(sample.name)
        try:
            image = loaded.get()
            if uss.kept(image, path) is None:
                job.folder.remove_features(sample.name)
                draft = drafts.read(sample, job.usable.seen[sample.name].digest)
                uss.keep(image, path, None if draft is None else draft.uss[0])
        except ItemError as error:
            problems[sample.name] = Problem(sample.source, str(error))
    job.progress(Step("USS features", len(samples), len(samples)))
    return problems
