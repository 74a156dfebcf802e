"""Several sources at once: their maps are calibrated over the data set, and joined."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from dhr.data.samples import Sample
from dhr.errors import ConfigError
from dhr.method.calibration import Calibration, join_features
from dhr.progress import Progress
from dhr.sources.protocol import Checked, Given, MapSource, Seen


class CombinedSource(MapSource):
    """Holds the sources of `sources`. It can make maps as soon as it has a calibration."""

    calibration: Calibration
    """On the device; the stage "calibration" sets it."""

    def __init__(self, given: Given, parts: Sequence[MapSource]) -> None:
        super().__init__(given)
        self.parts = tuple(parts)
        self.fittings = tuple(fitting for part in parts for fitting in part.fittings)
        self.reads_files = any(part.reads_files for part in parts)
        self.takes_classifier = any(part.takes_classifier for part in parts)
        names = [fitting.name for fitting in self.fittings]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(
                f"sources: {' and '.join(self.kinds)} cannot be used together, because both train the same "
                f"{min(twice)}; leave one of them out"
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the sources, in the order of their maps."""
        return tuple(part.given.settings.wss.kind for part in self.parts)

    def check(self, samples: Sequence[Sample], sizes: Mapping[str, tuple[int, int]], progress: Progress) -> Checked:
        """See :meth:`~dhr.sources.protocol.MapSource.check`; photographs that one source lacks are left out."""
        found = Checked(tuple(samples))
        for part in self.parts:
            more = part.check(found.samples, sizes, progress)
            found = Checked(more.samples, (*found.problems, *more.problems), (*found.notes, *more.notes))
        return found

    def maps(
        self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample], grid: tuple[int, int]
    ) -> tuple[Float[Tensor, "b s k u v"], list[Seen]]:
        """Make the maps of all sources, before they are joined.

        Raises:
            ItemError: see :meth:`~dhr.sources.protocol.MapSource.see`.
        """
        seen = [part.see(images, samples, grid) for part in self.parts]
        return torch.stack([one.cams.float() for one in seen], dim=1), seen

    def see(self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample], grid: tuple[int, int]) -> Seen:
        """See :meth:`~dhr.sources.protocol.MapSource.see`: the joined maps, and the WSS features of all sources.

        The joined maps are probabilities, learned from all photographs. So they are joined with the survey as well.
        """
        maps, seen = self.maps(images, samples, grid)
        ids, valid = padded_tags(samples, images.device)
        background = self.given.classes.background
        joined = self.calibration(maps.flatten(3), ids, valid, background)
        joined = joined.view(*joined.shape[:2], *grid)
        features = [one.features for one in seen if one.features is not None]
        edges = next((one.edges for one in seen if one.edges is not None), None)
        return Seen(joined[:, int(background) :], join_features(features) if features else None, edges, joined)


def padded_tags(samples: Sequence[Sample], device: torch.device) -> tuple[Int64[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """Return the tags of photographs, padded with 0, and where they are not padding."""
    most = max(len(one.tags) for one in samples)
    ids = torch.tensor([[*one.tags, *[0] * (most - len(one.tags))] for one in samples])
    valid = torch.tensor([[True] * len(one.tags) + [False] * (most - len(one.tags)) for one in samples])
    return ids.to(device), valid.to(device)
