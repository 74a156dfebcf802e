"""The map source and the USS features of a run: built, and the source's trainings done."""

from dataclasses import dataclass

import torch

from dhr.data.samples import DataSet
from dhr.features import Features
from dhr.features.embeddings import Embeddings
from dhr.job.features import build_features
from dhr.job.folder import OutputFolder
from dhr.job.settings import RunConfig
from dhr.job.weights import run_weights
from dhr.models.precision import resolved
from dhr.models.remote import require
from dhr.models.sam.build import build_sam
from dhr.sources import Given, MapSource, build_source


@dataclass(frozen=True)
class Models:
    """All networks that a run applies to photographs, on the device, in evaluation mode."""

    source: MapSource
    """Makes the CAMs."""
    uss: Features
    """Features of the USS network, or of the store."""
    sam: Embeddings | None = None
    """Embeddings for `boundary.kind sam`."""

    @property
    def device(self) -> torch.device:
        """The device of both."""
        return self.uss.device


def build_models(data: DataSet, config: RunConfig, folder: OutputFolder, device: torch.device) -> Models:
    """Build both; results of finished trainings of the source are read from the folder."""
    require(run_weights(config, folder.root))
    source = build_source(Given(config, data.classes, device, folder.root))
    features = build_features(config, device)
    return Models(source, features, _build_sam(config, features, device))


def _build_sam(config: RunConfig, features: Features, device: torch.device) -> Embeddings | None:
    """Build the network that segments anything, if the settings ask for one. The feature store keeps its embeddings."""
    if config.boundary.kind != "sam":
        return None
    sam, precision = config.boundary.sam, resolved(config.precision, device)
    return Embeddings(build_sam(sam.model, sam.weights, "boundary.sam.model", device, precision), features.store)
