"""A source with a network: it averages the network's maps of several views."""

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dhr.data.samples import Sample
from dhr.models.folding import folded
from dhr.models.precision import autocast, resolved
from dhr.models.views import average_views
from dhr.models.wss import WssModel
from dhr.sources.protocol import MapSource, Seen, joined

Network = TypeVar("Network", bound=nn.Module)


class NetworkSource(MapSource):
    """Averages the maps of a network over `wss.scales` and the mirrored photograph."""

    network: WssModel
    further: ClassVar[tuple[str, ...]] = ()
    """Maps of the network besides CAMs and features. They keep the grid of the first view, because class boundaries are
    thin and would be lost on a coarser grid."""

    @cached_property
    def _folded(self) -> WssModel:
        """The network as it is now, faster; its trainings are finished when the first photograph is seen."""
        return folded(self.network)

    @property
    def tags_apart(self) -> bool:
        """See :class:`~dhr.sources.protocol.MapSource`."""
        return self.network.tags_apart

    def see(self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample], grid: tuple[int, int]) -> Seen:
        """See :meth:`~dhr.sources.protocol.MapSource.see`."""
        start = self.given.classes.foreground.start
        if len(samples) > 1 and not self.network.tags_apart:
            return Seen.together([self.see(images[i : i + 1], [one], grid) for i, one in enumerate(samples)])
        tags = [sample.tags for sample in samples]
        columns = tags[0] if len(tags) == 1 else sorted({tag for some in tags for tag in some})
        positive, signed, features, *others = self._maps(images, [tag - start for tag in columns], grid)
        most = max(map(len, tags))
        where = [[columns.index(tag) for tag in some] + [len(columns)] * (most - len(some)) for some in tags]
        rows, places = torch.arange(len(tags)).unsqueeze(1).to(images.device), torch.tensor(where).to(images.device)
        further = dict(zip(self.further, others, strict=True))
        if "probabilities" in further:
            seen = further["probabilities"]
            background = torch.arange(start, device=places.device).expand(len(tags), -1)
            known = torch.cat([background, places + start], dim=1)
            further["probabilities"] = _padded(seen)[rows, known]
        return Seen(joined(_padded(positive)[rows, places], _padded(signed)[rows, places]), features, **further)

    def _maps(self, images: Tensor, columns: Sequence[int], grid: tuple[int, int]) -> tuple[Tensor, ...]:
        """Compute CAMs of some classes after and before the ReLU, features, and further maps."""
        precision = resolved(self.given.settings.precision, images.device)

        def view_maps(view: Tensor) -> tuple[Tensor, ...]:
            with autocast(precision, view.device):
                maps = self._folded.maps(view, columns)
            return maps.cams.relu(), maps.cams, maps.features, *(getattr(maps, name) for name in self.further)

        wss = self.given.settings.wss
        return average_views(view_maps, images, 3 * [grid], wss.scales, wss.flip)


def _padded(maps: Float[Tensor, "b c u v"]) -> Float[Tensor, "b _ u v"]:
    """Add a map of zeros, for padding."""
    return torch.cat([maps, torch.zeros_like(maps[:, :1])], dim=1)


def placed(network: Network, device: torch.device) -> Network:
    """Put the network on the device, in evaluation mode, with its weights laid out for speed."""
    network.to(device).eval()
    network.to(memory_format=torch.channels_last)
    return network
