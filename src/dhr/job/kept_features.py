"""USS features of photographs, kept in the folder for the training of a student."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.samples import Problem, Sample
from dhr.data.transforms import working_image
from dhr.errors import ItemError
from dhr.features import Features
from dhr.features.entry import read_entry
from dhr.job.data_job import DataJob
from dhr.job.folder import OutputFolder
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
    """Keep the USS features of all photographs in the folder, from the store or computed; present ones stay.

    Returns:
        By name, the photographs without features, and why.
    """
    problems = {}
    for done, sample in enumerate(samples):
        job.progress(Step("USS features", done, len(samples)))
        path = job.folder.features(sample.name)
        try:
            image = working_image(job.data.read_image(sample), job.config.image.long_side).unsqueeze(0)
            if not _kept(path, uss.shape(image)):
                job.folder.remove_features(sample.name)
                uss.keep(image, path)
        except ItemError as error:
            problems[sample.name] = Problem(sample.source, str(error))
    job.progress(Step("USS features", len(samples), len(samples)))
    return problems


def _kept(path: Path, shape: tuple[int, int, int]) -> bool:
    """Return whether a file holds features of this shape; False if it is missing or damaged."""
    try:
        return read_entry(path, shape=shape) is not None
    except ItemError:
        return False
