"""Transport: parity with POT, the optimality conditions, and what must not matter."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dhr.errors import ShapeError
from dhr.ops.transport import TOLERANCE, Transport, sinkhorn, transport

EPS = (0.5, 0.1, 0.03, 0.01)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform_random(k: int, n: int, seed: int) -> Tensor:
    return torch.rand(k, n, generator=generator(seed), dtype=torch.float64)


def one_hot(k: int, n: int, seed: int) -> Tensor:
    """Class 0 wins most positions, the last ones few."""
    winner = (uniform_random(1, n, seed)[0] ** 4 * k).long()
    return torch.eye(k, dtype=torch.float64)[winner].T


def twins(k: int, n: int, seed: int) -> Tensor:
    scores = uniform_random(k, n, seed)
    scores[-1] = scores[0]
    return scores


def one_class_everywhere(k: int, n: int, seed: int) -> Tensor:
    scores = uniform_random(k, n, seed) ** 8
    scores[0] = 1
    return scores


SCORES: dict[str, Callable[[int, int, int], Tensor]] = {
    "random": uniform_random,
    "one_hot": one_hot,
    "binary": lambda k, n, seed: (uniform_random(k, n, seed) > 0.5).double(),
    "sparse": lambda k, n, seed: uniform_random(k, n, seed) ** 8,
    "very_sparse": lambda k, n, seed: uniform_random(k, n, seed) ** 20,
    "all_zero": lambda k, n, seed: torch.zeros(k, n, dtype=torch.float64),
    "twins": twins,
    "one_class_everywhere": one_class_everywhere,
}


def equal_shares(k: int, seed: int) -> Tensor:
    return torch.full((k,), 1 / k, dtype=torch.float64)


def one_rules(k: int, seed: int) -> Tensor:
    q = torch.full((k,), 0.03 / max(k - 1, 1), dtype=torch.float64)
    q[seed % k] = 0.97 if k > 1 else 1
    return q


def long_tail(k: int, seed: int) -> Tensor:
    q = torch.rand(k, generator=generator(seed + 1), dtype=torch.float64) ** 4 + 1e-3
    return q / q.sum()


MARGINALS: dict[str, Callable[[int, int], Tensor]] = {
    "equal_shares": equal_shares,
    "one_rules": one_rules,
    "long_tail": long_tail,
}


def pot(scores: Tensor, q: Tensor, eps: float, p: Tensor | None = None) -> tuple[Tensor, float]:
    """POT's plan (k, n), and the marginal error at which it stopped."""
    n = scores.shape[1]
    p = torch.full((n,), 1 / n, dtype=torch.float64) if p is None else p
    plan, log = ot.bregman.sinkhorn_log(
        q.numpy(), p.numpy(), (1 - scores).numpy(), eps, numItermax=20_000, stopThr=1e-12, log=True, warn=False
    )
    return torch.from_numpy(np.asarray(plan)), float(log["err"][-1])


def assert_optimal(result: Transport, scores: Tensor, q: Tensor, p: Tensor, eps: float, tolerance: float) -> None:
    """The conditions that only the solution meets: both marginals, and eps log(T / p) - S = potential + potential."""
    plan = result.plan[0]
    torch.testing.assert_close(plan.sum(dim=0), p, rtol=0, atol=tolerance)
    assert (plan.sum(dim=1) - q).abs().sum() <= tolerance
    known = result.assignment[0] > 1e-200
    residual = eps * result.assignment[0].clamp_min(1e-300).log() - scores  # (k, n)
    pair = known & known[:1]
    difference = torch.where(pair, residual - residual[:1], math.nan)  # constant over the positions in each class
    for row in difference:
        row = row[~row.isnan()]
        if len(row):
            assert row.max() - row.min() <= 1e-9 * max(1, scores.abs().max().item())


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("marginal", MARGINALS)
@pytest.mark.parametrize("kind", SCORES)
def test_parity_with_pot(kind: str, marginal: str, eps: float) -> None:
    scores, q = SCORES[kind](4, 60, 3), MARGINALS[marginal](4, 3)
    expected, error = pot(scores, q, eps)
    assert error < 2e-9, "the reference itself has not converged"
    result = transport(scores[None], q[None], eps=eps)
    torch.testing.assert_close(result.plan[0], expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(result.assignment[0], expected * 60, rtol=0, atol=1e-5)
    single = transport(scores[None].float(), q[None].float(), eps=eps)
    torch.testing.assert_close(single.assignment[0].double(), expected * 60, rtol=0, atol=1e-3)
    torch.testing.assert_close(single.plan[0].double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("eps", [0.1, 0.03])
@pytest.mark.parametrize("kind", ["random", "very_sparse", "one_class_everywhere"])
def test_parity_with_pot_for_forty_classes(kind: str, eps: float) -> None:
    scores, q = SCORES[kind](40, 80, 5), long_tail(40, 5)
    expected, error = pot(scores, q, eps)
    assert error < 1e-7, "the reference itself has not converged"
    result = transport(scores[None], q[None], eps=eps)
    torch.testing.assert_close(result.assignment[0], expected * 80, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 7), (5, 1), (2, 2), (7, 3)])
def test_parity_with_pot_at_the_smallest_sizes(k: int, n: int) -> None:
    scores, q = uniform_random(k, n, 7), long_tail(k, 7)
    expected, error = pot(scores, q, 0.1)
    assert error < 1e-10
    torch.testing.assert_close(transport(scores[None], q[None], eps=0.1).plan[0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("marginal", MARGINALS)
@pytest.mark.parametrize(("k", "n"), [(2, 30), (5, 1369), (21, 400), (40, 45), (40, 300)])
def test_optimal_whatever_the_scores(k: int, n: int, marginal: str, eps: float) -> None:
    """Where Sinkhorn's method takes millions of iterations (one-hot scores, eps 0.01), the conditions still decide."""
    p = torch.full((n,), 1 / n, dtype=torch.float64)
    for index, kind in enumerate(SCORES):
        scores, q = SCORES[kind](k, n, index), MARGINALS[marginal](k, index)
        result = transport(scores[None], q[None], eps=eps)
        assert not result.plan.isnan().any(), kind
        assert result.marginal_error.item() <= 2e-9, kind
        assert_optimal(result, scores, q, p, eps, 2e-9)
        single = transport(scores[None].float(), q[None].float(), eps=eps)
        assert single.marginal_error.item() <= TOLERANCE, kind
        torch.testing.assert_close(single.assignment.double(), result.assignment, rtol=0, atol=2e-3)


@pytest.mark.parametrize("kind", SCORES)
def test_tends_to_the_linear_program(kind: str) -> None:
    """<C, T> lies between the optimum without entropy and that plus eps log K."""
    scores, q = SCORES[kind](5, 60, 11), long_tail(5, 11)
    best = ot.emd2(q.numpy(), np.full(60, 1 / 60), (1 - scores).numpy())
    for eps in EPS:
        cost = (transport(scores[None], q[None], eps=eps).plan[0] * (1 - scores)).sum().item()
        assert best - 1e-9 <= cost <= best + eps * math.log(5) + 1e-9


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, float]:
    """Scores (b, k, n) of different kinds in one batch, marginals (b, k), eps."""
    b, k, n = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**16))
    kinds = draw(st.lists(st.sampled_from(sorted(SCORES)), min_size=b, max_size=b))
    names = draw(st.lists(st.sampled_from(sorted(MARGINALS)), min_size=b, max_size=b))
    scores = torch.stack([SCORES[kind](k, n, seed + index) for index, kind in enumerate(kinds)])
    q = torch.stack([MARGINALS[name](k, seed + index) for index, name in enumerate(names)])
    return scores, q, draw(st.sampled_from(EPS))


@settings(deadline=None, max_examples=60)
@given(problems())
def test_marginals_hold(problem: tuple[Tensor, Tensor, float]) -> None:
    scores, q, eps = problem
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, TOLERANCE)):
        result = transport(scores.to(dtype), q.to(dtype), eps=eps)
        assert result.plan.dtype == dtype
        assert result.plan.min() >= 0
        assert result.marginal_error.max() <= tolerance
        torch.testing.assert_close(result.plan.sum(dim=2).to(q), q, rtol=0, atol=tolerance)
        ones = torch.ones_like(result.assignment[:, 0])
        torch.testing.assert_close(result.assignment.sum(dim=1), ones, rtol=0, atol=1e-5)
        torch.testing.assert_close(result.plan * scores.shape[2], result.assignment, rtol=1e-5, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(problems(), st.randoms(use_true_random=False))
def test_renaming_the_classes_renames_the_plan(problem: tuple[Tensor, Tensor, float], random) -> None:
    scores, q, eps = problem
    order = list(range(q.shape[1]))
    random.shuffle(order)
    expected = transport(scores, q, eps=eps).assignment[:, order]
    torch.testing.assert_close(
        transport(scores[:, order], q[:, order], eps=eps).assignment, expected, rtol=0, atol=1e-6
    )


@settings(deadline=None, max_examples=40)
@given(problems(), st.randoms(use_true_random=False))
def test_moving_the_positions_moves_the_plan(problem: tuple[Tensor, Tensor, float], random) -> None:
    scores, q, eps = problem
    order = list(range(scores.shape[2]))
    random.shuffle(order)
    expected = transport(scores, q, eps=eps).assignment[..., order]
    torch.testing.assert_close(transport(scores[..., order], q, eps=eps).assignment, expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(problems(), st.integers(1, 3), st.sampled_from([0.0, 1.0, -50.0, 1e6]))
def test_padding_does_not_matter(problem: tuple[Tensor, Tensor, float], extra: int, filler: float) -> None:
    scores, q, eps = problem
    b, k, n = scores.shape
    real = [index for index in range(k + extra) if index % 2 or index >= 2 * extra]  # padding first and in between
    real = real[:k] if len(real) >= k else list(range(extra, k + extra))
    padded, share = torch.full((b, k + extra, n), filler, dtype=scores.dtype), torch.full((b, k + extra), 0.7)
    valid = torch.zeros(b, k + extra, dtype=torch.bool)
    padded[:, real], valid[:, real] = scores, True
    share = share.to(q)
    share[:, real] = q
    alone, result = transport(scores, q, eps=eps), transport(padded, share, valid, eps=eps)
    torch.testing.assert_close(result.assignment[:, real], alone.assignment, rtol=0, atol=1e-6)
    torch.testing.assert_close(result.marginal_error, alone.marginal_error, rtol=0, atol=1e-7)
    assert (result.plan[~valid] == 0).all()


@settings(deadline=None, max_examples=30)
@given(problems())
def test_the_batch_does_not_matter(problem: tuple[Tensor, Tensor, float]) -> None:
    scores, q, eps = problem
    together = transport(scores, q, eps=eps)
    for index in range(len(scores)):
        alone = transport(scores[index : index + 1], q[index : index + 1], eps=eps)
        torch.testing.assert_close(together.assignment[index], alone.assignment[0], rtol=0, atol=1e-6)


def test_a_hard_image_does_not_spoil_an_easy_one() -> None:
    easy, hard = uniform_random(3, 200, 1), one_hot(3, 200, 2) * 50
    q = torch.stack([equal_shares(3, 0), one_rules(3, 2)])
    together = transport(torch.stack([easy, hard]), q, eps=0.1)
    torch.testing.assert_close(together.plan[:1], transport(easy[None], q[:1], eps=0.1).plan, rtol=0, atol=1e-10)
    assert together.marginal_error.max() < 1e-7


@settings(deadline=None, max_examples=40)
@given(problems(), st.floats(-3, 3))
def test_only_differences_between_classes_matter(problem: tuple[Tensor, Tensor, float], level: float) -> None:
    scores, q, eps = problem
    shift = level * uniform_random(1, scores.shape[2], 99)  # another one at each position
    expected = transport(scores, q, eps=eps).assignment
    torch.testing.assert_close(transport(scores + shift, q, eps=eps).assignment, expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(problems(), st.floats(-0.5, 0.5))
def test_a_class_that_scores_more_everywhere_gets_no_more(problem: tuple[Tensor, Tensor, float], gain: float) -> None:
    """Its potential takes the gain up: the marginals say how much a class gets, the scores only where."""
    scores, q, eps = problem
    raised = scores.clone()
    raised[:, 0] += gain
    expected = transport(scores, q, eps=eps).assignment
    torch.testing.assert_close(transport(raised, q, eps=eps).assignment, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("eps", EPS)
def test_level_scores_give_the_product_of_the_marginals(eps: float) -> None:
    q, p = long_tail(4, 0), long_tail(30, 1)
    result = transport(torch.full((1, 4, 30), 0.3, dtype=torch.float64), q[None], position_marginal=p[None], eps=eps)
    torch.testing.assert_close(result.plan[0], q[:, None] * p[None], rtol=0, atol=1e-10)


def test_marginals_need_no_scale() -> None:
    scores, q, p = uniform_random(3, 20, 0)[None], long_tail(3, 0)[None], long_tail(20, 1)[None]
    expected = transport(scores, q, position_marginal=p)
    scaled = transport(scores, q * 17, position_marginal=p * 400)
    torch.testing.assert_close(scaled.plan, expected.plan, rtol=0, atol=1e-10)


def test_a_class_of_no_mass_gets_nothing() -> None:
    scores, q = uniform_random(4, 50, 0)[None], torch.tensor([[0.6, 0.0, 0.4, 0.0]], dtype=torch.float64)
    result = transport(scores, q)
    assert (result.plan[0, [1, 3]] == 0).all()
    assert (result.assignment[0, [1, 3]] == 0).all()
    alone = transport(scores[:, [0, 2]], q[:, [0, 2]])
    torch.testing.assert_close(result.plan[:, [0, 2]], alone.plan, rtol=0, atol=1e-10)


@pytest.mark.parametrize("eps", EPS)
def test_positions_of_no_mass(eps: float) -> None:
    scores, q, p = uniform_random(3, 40, 0), long_tail(3, 0), long_tail(40, 1)
    p[::2] = 0
    p = p / p.sum()
    result = transport(scores[None], q[None], position_marginal=p[None], eps=eps)
    assert result.assignment.isfinite().all()
    assert (result.plan[..., ::2] == 0).all()
    assert result.marginal_error.item() < 1e-8
    kept = transport(scores[None, :, 1::2], q[None], position_marginal=p[None, 1::2], eps=eps)
    torch.testing.assert_close(result.plan[..., 1::2], kept.plan, rtol=0, atol=1e-8)


def test_position_marginal_has_parity_with_pot() -> None:
    scores, q, p = uniform_random(4, 50, 0), long_tail(4, 0), long_tail(50, 1)
    expected, error = pot(scores, q, 0.1, p)
    assert error < 1e-10
    result = transport(scores[None], q[None], position_marginal=p[None], eps=0.1)
    torch.testing.assert_close(result.plan[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", SCORES)
def test_scores_of_any_range_converge(kind: str, dtype: torch.dtype) -> None:
    for offset in (0.0, -1000.0):
        scores = (SCORES[kind](5, 400, 0) * 100 + offset)[None].to(dtype)
        result = transport(scores, long_tail(5, 0)[None].to(dtype), eps=0.1)
        assert result.plan.isfinite().all()
        assert result.marginal_error.item() < (1e-7 if dtype == torch.float64 else 10 * TOLERANCE)


def test_scaling_scores_and_eps_together_changes_nothing() -> None:
    scores, q = uniform_random(4, 60, 0)[None], long_tail(4, 0)[None]
    expected = transport(scores, q, eps=0.05).plan
    torch.testing.assert_close(transport(scores * 1000, q, eps=50.0).plan, expected, rtol=0, atol=1e-9)


def test_inputs_are_left_alone() -> None:
    inputs = [uniform_random(3, 20, 0)[None], torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64)]
    valid, p = torch.tensor([[True, True, False]]), torch.ones(1, 20, dtype=torch.float64)
    copies = [value.clone() for value in (*inputs, valid, p)]
    transport(*inputs, valid, p)
    for value, copy in zip((*inputs, valid, p), copies, strict=True):
        assert torch.equal(value, copy)


def test_no_gradient_is_recorded() -> None:
    scores = uniform_random(3, 20, 0)[None].requires_grad_()
    assert not transport(scores).plan.requires_grad


@pytest.mark.parametrize("seed", range(5))
def test_nothing_waits_for_the_device(seed: int, no_sync: AbstractContextManager[None]) -> None:
    scores, q = uniform_random(3, 40, seed)[None].float(), long_tail(3, seed)[None].float()
    valid, p = torch.tensor([[True, True, False]]), torch.rand(1, 40, generator=generator(seed)) + 0.1
    with no_sync:
        transport(scores, q, valid, p, eps=0.05)
    with pytest.raises(AssertionError, match="waits for the device"), no_sync:
        scores.sum().item()


def test_an_empty_batch() -> None:
    assert transport(torch.zeros(0, 3, 5)).plan.shape == (0, 3, 5)


@pytest.mark.parametrize("eps", [0.0, -0.1, math.nan])
def test_eps_must_be_positive(eps: float) -> None:
    with pytest.raises(ShapeError, match="eps must be positive"):
        transport(torch.zeros(1, 2, 3), eps=eps)


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("n", [7, 16, 61])
def test_the_compiled_kernel_is_the_solution_in_pytorch(kind: str, n: int) -> None:
    scores = torch.stack([SCORES[kind](5, n, seed) for seed in range(3)])
    q = torch.stack([long_tail(5, 0), one_rules(5, 1), torch.tensor([0.5, 0, 0.25, 0, 0.25], dtype=torch.float64)])
    found = transport(scores.float(), q.float(), eps=0.1)  # float32 on the CPU is compiled
    expected = transport(scores, q, eps=0.1)
    torch.testing.assert_close(found.assignment.double(), expected.assignment, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_solved_in_single(dtype: torch.dtype) -> None:
    """Sums over thousands of positions, and their masses, are beyond half precision."""
    scores, q = uniform_random(3, 5000, 0)[None].to(dtype), torch.tensor([[0.6, 0.3, 0.1]], dtype=dtype)
    result = transport(scores, q, eps=0.1)
    expected = transport(scores.float(), q.float(), eps=0.1)
    assert result.plan.dtype == result.assignment.dtype == result.marginal_error.dtype == torch.float32
    torch.testing.assert_close(result.plan, expected.plan)
    assert float(result.marginal_error) < TOLERANCE
    few = sinkhorn(scores, q, torch.ones(1, 3, dtype=torch.bool), 0.1, 50)
    torch.testing.assert_close(few.assignment, expected.assignment, rtol=0, atol=2e-2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("scores", "others", "message"),
    [
        (torch.ones(1, 2, 3, dtype=torch.int64), {}, r"must be floats.*int64.*\.float\(\)"),
        (torch.ones(1, 2, 3, dtype=torch.bool), {}, r"must be floats.*bool"),
        (torch.ones(2, 3), {}, "must be floats, .images, classes, positions."),
        (torch.ones(1, 0, 3), {}, "a class and a position"),
        (torch.ones(1, 3, 0), {}, "a class and a position"),
        (torch.ones(1, 2, 3), {"class_marginal": torch.ones(2)}, r"class_marginal must be \(1, 2\)"),
        (torch.ones(1, 2, 3), {"valid": torch.ones(1, 3, dtype=torch.bool)}, r"valid must be \(1, 2\)"),
        (torch.ones(1, 2, 3), {"position_marginal": torch.ones(1, 2)}, r"position_marginal must be \(1, 3\)"),
    ],
)
def test_what_cannot_be_transported_is_refused(scores: Tensor, others: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        transport(scores, **others)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_no_images_give_no_plans(dtype: torch.dtype) -> None:
    assert transport(torch.ones(0, 2, 3, dtype=dtype)).plan.shape == (0, 2, 3)


@pytest.mark.parametrize("eps", [0.5, 0.2, 0.1, 0.02])
def test_a_known_range_takes_fewer_iterations_to_the_same_solution(eps: float) -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.rand(8, 5, 300, generator=random, dtype=torch.float64)
    scores[::2] = (scores[::2] > 0.9).double()
    q = torch.rand(8, 5, generator=random, dtype=torch.float64) ** 4
    whole, short = transport(scores, q, eps=eps), transport(scores, q, eps=eps, reach=1.0)
    assert short.marginal_error.max() < 1e-8
    torch.testing.assert_close(short.assignment, whole.assignment, rtol=0, atol=1e-8)
