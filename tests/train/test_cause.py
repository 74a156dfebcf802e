"""CAUSE's losses by their definitions; the bank; that codes come to tell concepts apart."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cosine_similarity

from dhr.models.uss.cause import CauseHead
from dhr.train import cause
from dhr.train.cause import _Contrast, contrast, modularity
from dhr.train.head_config import CauseConfig


def defined(cells: Tensor, codebook: Tensor, temperature: float) -> Tensor:
    """Modularity pair by pair: for each, every concept is tried."""
    total = cells.new_zeros(())
    for own in cells:
        cosine = cosine_similarity(own[:, None], own[None], dim=2).clamp_min(0)
        between = cosine - torch.diag(cosine.diagonal())
        degree, edges = between.sum(dim=1), between.sum()
        shares = cosine_similarity(own[:, None], codebook[None], dim=2).clamp_min(0)
        for i in range(len(own)):
            for j in range(len(own)):
                delta = torch.tanh(shares[i] * shares[j] / temperature).max()
                total = total + (between[i, j] - degree[i] * degree[j] / edges) / edges * delta
    return total / len(cells)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999), temperature=st.floats(0.05, 1))
def test_modularity_and_its_gradient_are_the_definitions(seed: int, temperature: float) -> None:
    random = torch.Generator().manual_seed(seed)
    cells = torch.randn(2, 5, 4, generator=random).double()
    ours = torch.randn(7, 4, generator=random).double().requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    first, second = modularity(cells, ours, temperature), defined(cells, theirs, temperature)
    torch.testing.assert_close(first, second)
    first.backward()  # type: ignore[no-untyped-call]
    second.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_concepts_in_crops_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, codebook = torch.randn(2, 6, 4), torch.randn(9, 4)
    whole = modularity(cells, codebook, 0.1)
    monkeypatch.setattr(cause, "_AT_ONCE", 1)
    assert torch.equal(modularity(cells, codebook, 0.1), whole)


def test_modularity_is_highest_for_concepts_of_the_cells_kinds() -> None:
    cells = torch.eye(3)[torch.arange(12) % 3][None]
    assert modularity(cells, torch.eye(3), 0.1) > modularity(cells, torch.ones(1, 3), 0.1) + 0.5


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999))
def test_the_contrast_is_the_definition(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    codes, others = torch.randn(4, 3, generator=random).double(), torch.randn(6, 3, generator=random).double()
    likeness = torch.rand(4, 6, generator=random).double() * 2 - 1
    likeness[0, 0], likeness[2] = -torch.inf, -torch.inf
    config = CauseConfig(positive=0.3, negative=0.1, temperature=0.2)
    similar = cosine_similarity(codes[:, None], others[None], dim=2) / 0.2
    expected, count = 0.0, 0
    for i in range(4):
        counted = [j for j in range(6) if likeness[i, j] > 0.3 or -9 < likeness[i, j] < 0.1]
        below = sum(float(similar[i, j].exp()) for j in counted)
        for j in counted:
            if likeness[i, j] > 0.3:
                expected -= float(torch.log(similar[i, j].exp() / below))
                count += 1
    codes.requires_grad_()
    loss, pairs = contrast(codes, others, likeness, config)
    assert int(pairs) == count
    torch.testing.assert_close(loss, torch.tensor(expected).double())
    loss.backward()  # type: ignore[no-untyped-call]
    assert codes.grad is not None and bool(codes.grad.isfinite().all()), "a row without any pair gives no NaN"


def both(**settings: int) -> _Contrast:
    torch.manual_seed(0)
    config = CauseConfig(concepts=3, projection=4, cells=8, **settings)
    heads = [CauseHead(6, 5, 8, 4, 3, 0.0) for _ in range(2)]
    for head in heads:
        head.codebook.copy_(torch.eye(3, 6))
    return _Contrast(*heads, 5, config)


def test_the_bank_keeps_the_newest_of_each_concept() -> None:
    model = both(bank=3)
    model.remember(torch.tensor([1] * 20), torch.arange(80.0).view(20, 4))
    assert model.filled.tolist() == [0, 3, 0]
    assert model.bank[0].eq(0).all() and model.bank[2].eq(0).all()
    first = model.bank[1].clone()
    model.remember(torch.tensor([1]), torch.full((1, 4), 7.0))
    same = (model.bank[1] == first).all(dim=1)
    assert same.sum() == 2 and (model.bank[1][~same] == 7).all()


def test_codes_come_to_tell_concepts_apart_and_the_teacher_follows() -> None:
    model = both(bank=4)
    optimiser = torch.optim.Adam([value for value in model.parameters() if value.requires_grad], lr=1e-2)
    kinds = torch.arange(16) % 3
    features = torch.eye(3, 6)[kinds].T.reshape(1, 6, 4, 4).repeat(2, 1, 1, 1) + 0.05 * torch.randn(2, 6, 4, 4)
    before = model.teacher.tr.f1.weight.clone()
    for _ in range(60):
        model.follow()
        optimiser.zero_grad()
        model(features).backward()
        optimiser.step()
    codes = model.head.eval()(features)[0].flatten(1).T
    cosine = cosine_similarity(codes[:, None], codes[None], dim=2)
    same = kinds[:, None] == kinds[None]
    assert cosine[same].mean() > cosine[~same].mean() + 0.5
    assert not torch.equal(model.teacher.tr.f1.weight, before)
    assert torch.equal(model.teacher.codebook, model.head.codebook)
