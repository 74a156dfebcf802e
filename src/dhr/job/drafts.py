"""Drafts of photographs, Steps 1 to 3: computed in batches, or read where they were kept."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.data.transforms import working_image, working_size
from dhr.errors import ItemError, PlaceError
from dhr.features.pack import Packed
from dhr.files import write_bytes
from dhr.flow.batches import batches
from dhr.flow.loaded import Loaded
from dhr.job.kept import Keeper, Kept, class_ids
from dhr.job.maps import Maps, maps_of, not_finite
from dhr.job.models import Models
from dhr.job.scan import Scan
from dhr.job.settings import RunConfig
from dhr.method.boundary import Correction, Guide, corrections
from dhr.method.rebalance import draft
from dhr.method.scene import Batch
from dhr.method.steps import Draft
from dhr.method.survey import Survey, agreed, settled, survey_features
from dhr.ops.upsample import resize

BUDGET = 64 * 2**20
"""Bytes of photographs that are opened ahead, and of drafts that wait to be written."""


def group_size(device: torch.device) -> int:
    """Return the number of consecutive photographs of a data set among which batches are made.

    It is the unit of work on a cluster: half a minute or so on either kind of device.
    """
    return 64 if device.type == "cpu" else 256


@dataclass(frozen=True)
class Photograph:
    """A photograph that is open."""

    sample: Sample
    size: tuple[int, int]
    """Its rows and columns."""
    image: Float[Tensor, "3 h w"]
    """Its working image."""


@dataclass(frozen=True)
class Drafts:
    """Makes the drafts of a data set."""

    models: Models
    data: DataSet
    found: Scan
    config: RunConfig
    keeper: Keeper
    second: bool = False
    """Whether the source is the student of a run with recursion: then only the USS features are as they were kept."""

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each photograph in the data set, by name."""
        return {sample.name: place for place, sample in enumerate(self.data.samples)}

    def working_size(self, sample: Sample) -> tuple[int, int]:
        """Return rows and columns of the working image of a photograph."""
        seen = self.found.seen[sample.name]
        return working_size(seen.height, seen.width, self.config.image.long_side)

    def weight(self, sample: Sample) -> int:
        """Return the bytes that a photograph takes while it is opened."""
        seen, (height, width) = self.found.seen[sample.name], self.working_size(sample)
        return 3 * seen.height * seen.width + 12 * height * width

    def open(self, sample: Sample) -> Photograph:
        """Read a photograph.

        Raises:
            ItemError: it cannot be read, or changed after the scan.
        """
        rgb = self.data.read_image(sample)
        image = working_image(rgb, self.config.image.long_side)
        if (image.shape[-2], image.shape[-1]) != self.working_size(sample):
            raise ItemError("its size changed while the run was at work; start the same command again")
        return Photograph(sample, (rgb.shape[0], rgb.shape[1]), image)

    def kept(self, sample: Sample) -> Kept | None:
        """Return the draft that was kept."""
        return self.keeper.read(sample, self.found.seen[sample.name].digest)

    def keep(self, one: Kept) -> None:
        """Write the draft of one photograph, on the CPU; if something else has its place, it is computed again."""
        (sample,), digest = one.samples, self.found.seen[one.samples[0].name].digest
        with suppress(PlaceError):
            content = self.keeper.content(one, digest)
            write_bytes(self.keeper.folder.survey_cells(sample.name), content, durable=False)  # it has a checksum

    def batches(self, samples: Sequence[Sample], most: int) -> list[tuple[Sample, ...]]:
        """Put photographs of one working size into batches of at most ``most``; those without tags stay apart."""
        return batches(samples, lambda sample: (self.working_size(sample), bool(sample.tags)), most)

    @torch.no_grad()
    def __call__(self, batch: Sequence[Photograph]) -> "Made":
        """Compute the drafts of photographs of one working size, on the device."""
        samples, images = [one.sample for one in batch], torch.stack([one.image for one in batch])
        features = self.features(images, samples)
        failed = {one.name: loaded.failure for one, loaded in zip(samples, features, strict=True) if loaded.failure}
        good = [index for index, loaded in enumerate(features) if loaded.ready]
        if not good:
            return Made((), failed)
        made = self._drafted(images[good], [samples[index] for index in good], [features[i].get() for i in good])
        return Made(made.parts, {**failed, **made.failed})

    def features(self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample]) -> list[Loaded[Packed]]:
        """Return the USS features of photographs, computed or kept."""
        uss = self.models.uss
        if not self.second:
            return uss.packed(images)
        known: list[Packed | None] = []
        for image, sample in zip(images, samples, strict=True):
            draft = self.kept(sample)
            path = self.keeper.folder.features(sample.name)
            known.append(uss.kept(image[None], path) if draft is None else draft.uss[0])
        if all(known):
            return [Loaded(one) for one in known]
        computed = uss.packed(images)
        return [one if before is None else Loaded(before) for one, before in zip(computed, known, strict=True)]

    def _drafted(self, images: Tensor, samples: Sequence[Sample], features: Sequence[Packed]) -> "Made":
        try:
            maps = maps_of(images, samples, self.models, self.config, features)
        except ItemError as error:
            if len(samples) == 1:
                return Made((), {samples[0].name: error})
            alone = zip(torch.split(images, 1), samples, features, strict=True)
            found = [self._drafted(image, [sample], [uss]) for image, sample, uss in alone]
            failed = {name: failure for one in found for name, failure in one.failed.items()}
            return Made(tuple(part for one in found for part in one.parts), failed)
        made = drafted(maps, samples, self.keeper.classes, self.config)
        finite = zip(samples, maps.finite.tolist(), strict=True)
        failed = {sample.name: not_finite() for sample, right in finite if not right}
        return Made((Kept(tuple(samples), made, tuple(features), maps.edges, maps.probabilities),), failed)


@dataclass(frozen=True)
class Made:
    """Drafts of a batch."""

    parts: tuple[Kept, ...]
    """One batch; several if a photograph failed and the others were computed one by one."""
    failed: Mapping[str, BaseException]
    """Photographs without a usable draft, by name, with the reason. They may be among ``parts``."""


def drafted(
    maps: Maps,
    samples: Sequence[Sample],
    classes: ClassTable,
    config: RunConfig,
    held: Float[Tensor, "b k _ _"] | None = None,
    correct: Correction | None = None,
) -> Draft:
    """Compute Steps 1 to 3 from the maps of photographs.

    Args:
        maps: all maps.
        samples: names and tags.
        classes: the class table.
        config: settings.
        held: what a person has drawn, see :attr:`dhr.method.scene.Batch.held`.
        correct: the correction of base mask and seeds, if there is one for these images already.
    """
    device = maps.cams.device
    batch = Batch(
        maps.cams,
        maps.uss,
        maps.wss,
        maps.images,
        valid=padded_ids(samples, classes, device)[1][:, classes.foreground.start :],
        edges=maps.edges,
        background=classes.background,
        prior=photograph_priors(classes, samples, config.method.prior, device),
        held=held,
    )
    if correct is None:
        first = replace(config.boundary, kind="none")
        correct, _ = corrections(first, Guide(maps.uss, maps.edges), maps.images, batch.size)
    return draft(batch, config.method, correct)


def padded_ids(
    samples: Sequence[Sample], classes: ClassTable, device: torch.device
) -> tuple[Int64[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """Return the class ids of photographs, padded with 0, and where they are not padding."""
    ids = [class_ids(classes, sample) for sample in samples]
    most = max(map(len, ids))
    padded = torch.tensor([one + [0] * (most - len(one)) for one in ids])
    valid = torch.tensor([[True] * len(one) + [False] * (most - len(one)) for one in ids])
    return padded.to(device), valid.to(device)


def photograph_priors(
    classes: ClassTable, samples: Sequence[Sample], shares: Mapping[str, float], device: torch.device
) -> Float[Tensor, "b k"] | None:
    """Return the given shares of the classes of photographs, padded with 0; None if the settings give no shares."""
    if not shares:
        return None
    usual = sum(shares.values()) / len(shares)
    table = torch.tensor([shares.get(name, usual) for name in classes.names])
    ids, valid = padded_ids(samples, classes, table.device)
    return (table[ids] * valid).to(device)


def surveyed(
    survey: Survey,
    uss: Float[Tensor, "b d u v"],
    probabilities: Float[Tensor, "b _ p q"] | None,
    classes: ClassTable,
    samples: Sequence[Sample],
    images: Float[Tensor, "b 3 h w"],
) -> Float[Tensor, "b k u v"]:
    """Return shares of the classes by evidence from other photographs: the survey's, joined with a student's."""
    ids, valid = padded_ids(samples, classes, uss.device)
    grid = (uss.shape[-2], uss.shape[-1])
    said = settled(survey.shares(survey_features(uss), ids, valid).view(*ids.shape, *grid), uss, images)
    if probabilities is None:
        return said
    return agreed(said.flatten(2), resize(probabilities, grid).flatten(2)).view_as(said)
