"""Folded networks compute the same maps."""

import pytest
import torch
from torch import nn

from dhr.models.config import WssConfig
from dhr.models.folding import folded
from dhr.models.wss.classifier import TagClassifier


def norms(network: nn.Module) -> int:
    return sum(isinstance(one, nn.BatchNorm2d) for one in network.modules())


def unsettled(network: nn.Module) -> nn.Module:
    """Give all normalisations statistics and weights of their own."""
    torch.manual_seed(1)
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            if one.running_mean is None or one.running_var is None:
                continue
            nn.init.normal_(one.running_mean, std=0.1)
            nn.init.uniform_(one.running_var, 0.5, 2)
            if one.affine:
                nn.init.uniform_(one.weight, 0.5, 1.5)
                nn.init.normal_(one.bias, std=0.1)
    return network.eval()


@pytest.mark.parametrize("backbone", ["mobilenetv2_100", "resnet18", "tf_mobilenetv3_small_minimal_100", "regnetx_002"])
def test_maps_stay_the_same(backbone: str) -> None:
    network = unsettled(TagClassifier(WssConfig(backbone=backbone, weights="none"), 3))
    before = norms(network)
    lean = folded(network)
    images = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = network.encode(images), lean.encode(images)  # type: ignore[operator]
    for one, two in zip(expected, found, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4 * float(one.abs().max()))
    assert norms(network) == before  # the network itself can be trained on
    assert norms(lean) == 0


def test_networks_without_batch_normalisation_stay() -> None:
    network = TagClassifier(WssConfig(backbone="convnext_atto", weights="none", output_stride=32), 2).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(
            torch.equal(one, two)
            for one, two in zip(network.encode(images), folded(network).encode(images), strict=True)
        )


class Encoder(nn.Module):
    """A convolution whose result is also used without its normalisation; and one that is called twice."""

    feature_info = None

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.twice, self.after = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.batch, self.moving = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.first(images)
        seen = seen + self.norm(seen)
        return self.moving(self.batch(self.after(self.twice(self.twice(seen)))))


def test_only_a_normalisation_that_alone_follows_a_convolution_is_folded() -> None:
    encoder = unsettled(Encoder())
    images = torch.rand(1, 3, 8, 8)
    assert norms(folded(encoder)) == 3
    torch.testing.assert_close(folded(encoder)(images), encoder(images))


def test_a_network_that_cannot_be_followed_stays() -> None:
    class Branching(nn.Module):
        feature_info = None

        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.norm(self.first(images)) if images.mean() > 0 else images

    assert norms(folded(unsettled(Branching()))) == 1
