"""STEGO's loss, by its definition; which crops are neighbours."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity

from dhr.train.frozen import neighbours_of
from dhr.train.stego import correlation_loss, drawn


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16), st.floats(-0.5, 0.5))
def test_the_loss_is_the_papers(seed: int, shift: float) -> None:
    """Eq. 3 and 4, pair by pair."""
    random = torch.Generator().manual_seed(seed)
    f, g, s, t = (torch.randn(2, n, d, generator=random).double() for n, d in ((3, 5), (4, 5), (3, 2), (4, 2)))
    cosine = torch.stack([cosine_similarity(a[:, None], b[None], dim=2) for a, b in zip(f, g, strict=True)])
    centred = cosine - cosine.mean(dim=2, keepdim=True)
    centred = centred - centred.mean() + cosine.mean()
    codes = torch.stack([cosine_similarity(a[:, None], b[None], dim=2) for a, b in zip(s, t, strict=True)])
    expected = -((centred - shift) * codes.clamp_min(0)).mean()
    torch.testing.assert_close(correlation_loss(f, g, s, t, shift), expected)


def test_codes_follow_the_features() -> None:
    """Gradient descent brings the codes of cells of one kind together, and those of two kinds apart."""
    torch.manual_seed(0)
    kinds = torch.arange(12) % 2
    features = torch.eye(2)[kinds][None] + 0.05 * torch.randn(1, 12, 2)
    codes = torch.randn(1, 12, 3, requires_grad=True)
    optimiser = torch.optim.Adam([codes], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        correlation_loss(features, features, codes, codes, 0.3).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    cosine = cosine_similarity(codes[0][:, None], codes[0][None], dim=2)
    same = kinds[:, None] == kinds[None]
    assert cosine[same].mean() > 0.9
    assert cosine[~same].max() < 0.2


def test_neighbours_are_alike_and_of_other_photographs() -> None:
    means = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.9, 0.05], [0.0, 1.0], [0.1, 1.0], [-1.0, -1.0]])
    found = neighbours_of(means, crops=2, count=2)
    assert found.shape == (6, 2)
    photographs = torch.arange(6) // 2
    assert (photographs[found] != photographs[:, None]).all()
    assert found[0, 0] == 2
    assert found[3, 0] == 4
    assert neighbours_of(means[:2], crops=2, count=7).tolist() == [[0, 1], [0, 1]]


def test_drawn_cells_are_cells_of_the_map() -> None:
    maps = torch.rand(2, 3, 4, 5)
    torch.manual_seed(0)
    cells = drawn(maps, 30)
    assert cells.shape == (2, 30, 3)
    for one, own in zip(cells, maps, strict=True):
        assert ((one[:, None] - own.flatten(1).T[None]).abs().amax(dim=2).amin(dim=1) == 0).all()
