"""The map source and the USS features of a run: built, and the source's trainings done."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dhr.data.samples import DataSet, Sample
from dhr.features import Features
from dhr.job.features import build_features
from dhr.job.folder import OutputFolder
from dhr.job.settings import RunConfig
from dhr.job.weights import run_weights
from dhr.models.remote import require
from dhr.progress import Progress
from dhr.sources import Fitting, Given, MapSource, build_source


@dataclass(frozen=True)
class Models:
    """All that sees in photographs, on the device, in evaluation mode."""

    source: MapSource
    """Says where the tags are."""
    uss: Features
    """Features of the USS network, or of the store."""

    @property
    def device(self) -> torch.device:
        """Where both compute."""
        return self.uss.device


def build_models(data: DataSet, config: RunConfig, folder: OutputFolder, device: torch.device) -> Models:
    """Build both; trainings of the source that are finished already are read from the folder."""
    require(run_weights(config, folder.root))
    source = build_source(Given(config, data.classes, device, folder.root))
    return Models(source, build_features(config, device))


def finish(
    fitting: Fitting, data: DataSet, samples: Sequence[Sample], folder: OutputFolder, progress: Progress
) -> None:
    """Do a training of the source and write its result to the folder, unless that is done."""
    path, checkpoint = folder.fitted(fitting.file), folder.checkpoint(fitting.name)
    if not path.is_file():
        fitting.fit(data, samples, checkpoint, progress)
        fitting.save(path)
    folder.remove_checkpoint(checkpoint)
