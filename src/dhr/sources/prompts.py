"""A source with a network that is asked for names: it encodes each photograph once, and asks for each of its tags."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.samples import Sample
from dhr.models.precision import autocast, resolved
from dhr.models.views import images_at_once
from dhr.models.words.prompted import Prompted
from dhr.sources.protocol import MapSource, Seen, joined


class PromptSource(MapSource):
    """Asks a network for the names of each photograph's tags; with `wss.flip`, also of the mirrored photograph.

    The network sees the whole photograph at the size that it was trained on, so `wss.scales` does not apply.
    """

    network: Prompted

    def see(self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample], grid: tuple[int, int]) -> Seen:
        """See :meth:`~dhr.sources.protocol.MapSource.see`."""
        start = self.given.classes.foreground.start
        classes = [[tag - start for tag in sample.tags] for sample in samples]
        views = [self._view(images, classes, grid)]
        if self.given.settings.wss.flip:
            mirrored = self._view(images.flip(-1), classes, grid)
            views.append([tuple(one.flip(-1) for one in some) for some in mirrored])
        found = []
        for parts in zip(*views, strict=True):
            positive, signed, features = (torch.stack(some).mean(dim=0) for some in zip(*parts, strict=True))
            found.append(Seen(joined(positive, signed), features))
        return Seen.together(found)

    def _view(
        self, images: Tensor, classes: Sequence[Sequence[int]], grid: tuple[int, int]
    ) -> list[tuple[Tensor, ...]]:
        """Return, for each photograph, the maps of its classes above 0, before the ReLU, and features."""
        precision = resolved(self.given.settings.precision, images.device)
        side, vocabulary, found = self.network.pixels.side, self.network.vocabulary, list[tuple[Tensor, ...]]()
        assert side is not None
        most = images_at_once(side[0] * side[1], images.device)
        for first in range(0, len(images), most):
            with autocast(precision, images.device):
                encoded = self.network.encode(images[first : first + most])
            features = _resized(encoded.features.float(), grid)
            for index, wanted in enumerate(classes[first : first + most]):
                names = vocabulary.needed(wanted)
                with autocast(precision, images.device):
                    maps = torch.cat(
                        [
                            self.network.ask(encoded, index, names[place : place + self.network.together])
                            for place in range(0, len(names), self.network.together)
                        ]
                    )
                signed = vocabulary.joined(maps.float().unsqueeze(0), names, wanted)
                found.append((_resized(signed.relu(), grid), _resized(signed, grid), features[index : index + 1]))
        return found


def _resized(maps: Float[Tensor, "b c p q"], grid: tuple[int, int]) -> Float[Tensor, "b c u v"]:
    """Average maps over the cells of a grid."""
    return interpolate(maps, grid, mode="bilinear", align_corners=False, antialias=True)
