"""Steps 1 to 3 of a photograph: computed, or read where the survey has kept them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.samples import ClassTable, Sample
from dhr.features.pack import Packed
from dhr.job.kept import Keeper, Kept, class_ids
from dhr.job.maps import Maps, maps_of
from dhr.job.models import Models
from dhr.job.settings import RunConfig
from dhr.method.boundary import Guide, corrections
from dhr.method.rebalance import draft
from dhr.method.scene import Batch
from dhr.method.steps import Draft
from dhr.method.survey import Survey, agreed, survey_features
from dhr.ops.upsample import resize


@dataclass(frozen=True)
class Drafts:
    """Makes the drafts of a data set."""

    models: Models
    classes: ClassTable
    config: RunConfig
    kept: Keeper
    second: bool = False
    """Whether the source is the student of a run with recursion: then only the USS features are as they were kept."""

    def __call__(self, image: Float[Tensor, "1 3 h w"], sample: Sample, digest: str) -> Kept:
        """Return the draft of a photograph with tags, on the device.

        Args:
            image: its working image.
            sample: its name and tags.
            digest: digest of its content.

        Raises:
            ItemError: the source cannot make maps of it, or they hold NaN or infinity.
        """
        known = self.kept.read(sample, digest)
        if known is not None and not self.second:
            return known.to(self.models.device)
        return self.new(image, sample, None if known is None else known.uss)

    @torch.no_grad()
    def new(self, image: Float[Tensor, "1 3 h w"], sample: Sample, features: Packed | None = None) -> Kept:
        """Compute the draft of a photograph, also its USS features if they are not given; raises as a call."""
        uss = self.models.uss
        features = features or uss.kept(image, self.kept.folder.features(sample.name)) or uss.packed(image)
        maps = maps_of(image, sample, self.models, self.config, features)
        ids, made = torch.tensor(class_ids(self.classes, sample)), drafted(maps, sample, self.classes, self.config)
        return Kept(ids, made, features, maps.edges, maps.probabilities)


def drafted(maps: Maps, sample: Sample, classes: ClassTable, config: RunConfig) -> Draft:
    """Compute Steps 1 to 3 from the maps of a photograph."""
    prior = photograph_prior(classes, sample, config.method.prior, maps.cams.device)
    batch = Batch(
        maps.cams, maps.uss, maps.wss, maps.image, edges=maps.edges, background=classes.background, prior=prior
    )  # fmt: skip
    first = replace(config.boundary, kind="none")
    correct, _ = corrections(first, Guide(maps.uss, maps.edges), maps.image, batch.size)
    return draft(batch, config.method, correct)


def photograph_prior(
    classes: ClassTable, sample: Sample, shares: Mapping[str, float], device: torch.device
) -> Float[Tensor, "1 k"] | None:
    """Return the given shares of a photograph's classes, the background first; None if the settings give no shares."""
    if not shares:
        return None
    usual = sum(shares.values()) / len(shares)
    names = [classes.names[label] for label in class_ids(classes, sample)]
    return torch.tensor([[shares.get(name, usual) for name in names]], device=device)


def surveyed(
    survey: Survey,
    uss: Float[Tensor, "1 d u v"],
    probabilities: Float[Tensor, "1 _ p q"] | None,
    classes: ClassTable,
    sample: Sample,
) -> Float[Tensor, "1 k u v"]:
    """Return shares of the classes by evidence from other photographs: the survey's, joined with a student's."""
    ids = torch.tensor([class_ids(classes, sample)], device=uss.device)
    valid = torch.ones_like(ids, dtype=torch.bool)
    grid = (uss.shape[-2], uss.shape[-1])
    said = survey.shares(survey_features(uss), ids, valid)
    if probabilities is not None:
        said = agreed(said, resize(probabilities, grid).flatten(2))
    return said.view(1, -1, *grid)
