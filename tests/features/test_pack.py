"""Features in few bytes: how much is lost, and that nothing else is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity

from dhr.errors import ConfigError
from dhr.features.pack import Axes, Reduction, pack

CPU = torch.device("cpu")


def maps(seed: int = 0, channels: int = 6, magnitude: float = 1.0) -> torch.Tensor:
    return torch.randn(1, channels, 5, 7, generator=torch.Generator().manual_seed(seed)) * magnitude


@given(seed=st.integers(0, 99), power=st.integers(-30, 30))
def test_half_precision_loses_as_little_whatever_the_range(seed: int, power: int) -> None:
    given_maps = maps(seed, magnitude=2.0**power)
    back = pack(given_maps).unpacked(CPU)
    large = given_maps.abs() > given_maps.abs().amax() / 1000
    assert ((back - given_maps).abs()[large] <= 2**-11 * given_maps.abs()[large]).all()
    assert torch.equal(back / 2.0**power, pack(given_maps / 2.0**power).unpacked(CPU)), "the scale costs no digits"


@given(seed=st.integers(0, 99), power=st.integers(-20, 20))
def test_eight_bits_are_off_by_half_a_step_of_each_channel(seed: int, power: int) -> None:
    given_maps = maps(seed) * torch.tensor([1.0, 10, 100, 0.1, 1, 1]).view(1, 6, 1, 1) * 2.0**power
    back = pack(given_maps, 8).unpacked(CPU)
    step = given_maps.abs().amax(dim=(2, 3), keepdim=True) / 127
    assert ((back - given_maps).abs() <= 0.501 * step).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_nothing_but_zeros_stays_so(bits: int) -> None:
    assert torch.equal(pack(torch.zeros(1, 3, 2, 2), bits).unpacked(CPU), torch.zeros(1, 3, 2, 2))


def test_half_precision_takes_half_the_bytes_and_eight_bits_a_quarter() -> None:
    assert [pack(maps(), bits).values.element_size() for bits in (16, 8)] == [2, 1]


@given(seed=st.integers(0, 99))
def test_axes_are_orthonormal_and_keep_the_cosines_of_what_lies_along_them(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(9, 3, generator=draw)  # nine channels, of three dimensions only
    seen = [torch.einsum("dk,bkuv->bduv", mixing, maps(seed + one, channels=3)) for one in range(3)]
    axes = Axes()
    for one in seen:
        axes.add(one)
    basis = axes.first(3)
    assert torch.allclose(basis @ basis.T, torch.eye(3), atol=1e-5)
    reduced = Reduction(16, basis, "network")(seen[0]).unpacked(CPU)
    assert reduced.shape == (1, 3, 5, 7)
    first, later = (one.flatten(2)[0].T for one in (seen[0], reduced))
    for cells in (first, later):
        assert cells.shape[0] == 35
    assert torch.allclose(
        cosine_similarity(first[:, None], first[None], dim=2), cosine_similarity(later[:, None], later[None], dim=2),
        atol=5e-3,
    )  # fmt: skip


def test_axes_refuse_what_they_cannot_give() -> None:
    axes = Axes()
    with pytest.raises(ConfigError, match="no photograph can be read"):
        axes.first(2)
    axes.add(maps())
    with pytest.raises(ConfigError, match="below the 6 channels of the features, got 6"):
        axes.first(6)


def test_only_what_changes_features_has_a_name() -> None:
    names = [Reduction(), Reduction(8), Reduction(16, torch.eye(2, 6)), Reduction(16, torch.eye(3, 6))]
    assert names[0].name == ""
    assert len({one.name for one in names}) == 4
