"""A source with a network: it averages the network's maps of several views."""

from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dhr.data.samples import Sample
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

    def see(self, image: Float[Tensor, "1 3 h w"], sample: Sample, grid: tuple[int, int]) -> Seen:
        """See :meth:`~dhr.sources.protocol.MapSource.see`."""
        columns = [tag - self.given.classes.foreground.start for tag in sample.tags]

        precision = resolved(self.given.settings.precision, image.device)

        def view_maps(view: Tensor) -> tuple[Tensor, ...]:
            with autocast(precision, view.device):
                maps = self.network.maps(view, columns)
            return maps.cams.relu(), maps.cams, maps.features, *(getattr(maps, name) for name in self.further)

        wss = self.given.settings.wss
        positive, signed, features, *others = average_views(view_maps, image, 3 * [grid], wss.scales, wss.flip)
        return Seen(joined(positive, signed), features, **dict(zip(self.further, others, strict=True)))


def placed(network: Network, device: torch.device) -> Network:
    """Put the network on the device, in evaluation mode, with its weights laid out for speed."""
    network.to(device).eval()
    network.to(memory_format=torch.channels_last)
    return network
