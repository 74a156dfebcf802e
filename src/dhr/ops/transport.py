"""Entropic optimal transport between the positions of an image and its classes (f_OT of Eqs. 2 to 4)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.errors import ShapeError

TOLERANCE = 1e-4
"""Marginal error that float32 reaches at any eps >= 0.01 and scores in 0..1; float64 reaches 1e-9."""

_ANNEALING = 12
_POLISHING = 12


@dataclass(frozen=True)
class Transport:
    """The solution of :func:`transport`."""

    plan: Float[Tensor, "b k n"]
    """T: mass that goes from position n to class k; sums to 1; 0 where the class is padding."""
    assignment: Float[Tensor, "b k n"]
    """T divided by the positions' mass: over the classes it sums to 1 at every position."""
    marginal_error: Float[Tensor, " b"]
    """Sum over the classes of ``|sum_n T_kn - q_k|``; the positions' marginal is exact."""


@torch.no_grad()
def transport(
    scores: Float[Tensor, "b k n"],
    class_marginal: Float[Tensor, "b k"] | None = None,
    valid: Bool[Tensor, "b k"] | None = None,
    position_marginal: Float[Tensor, "b n"] | None = None,
    eps: float = 0.1,
) -> Transport:
    r"""Transport the positions' mass to the classes where it scores highest, given how much each class receives.

    .. math:: f_{OT}(S) = \arg\min_{T \ge 0} \sum_{kn} T_{kn} (1 - S_{kn}) - \epsilon H(T)
              \quad\text{s.t.}\quad \sum_k T_{kn} = p_n,\; \sum_n T_{kn} = q_k

    (paper, Section 3.2; ``eps`` is its lambda). With few classes and many positions the problem is best solved in its
    semi-dual, one potential a class: Newton's method with Levenberg-Marquardt damping, a Sinkhorn update wherever Newton's
    step did not help (Brauer et al. 2017, "A Sinkhorn-Newton method"), while eps is lowered from the range of the scores to its
    value. All is in the log domain, and the number of iterations is fixed, so that nothing waits for the device.

    Args:
        scores: any finite values; only their differences between classes matter.
        class_marginal: q, normalised here over the valid classes; uniform if absent. A class of marginal 0 receives nothing.
        valid: False for classes that are padding.
        position_marginal: p, normalised here; uniform if absent.
        eps: strength of the entropy, > 0.

    Raises:
        ShapeError: ``eps`` is not positive.

    >>> scores = torch.tensor([[[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.6, 0.5]]])
    >>> result = transport(scores, class_marginal=torch.tensor([[0.75, 0.25]]), eps=0.01)
    >>> result.assignment.argmax(dim=1)
    tensor([[0, 0, 1, 0]])
    """
    if not eps > 0:
        raise ShapeError(f"eps must be positive, got {eps}")
    b, k, n = scores.shape
    real = torch.ones_like(scores[..., 0], dtype=torch.bool) if valid is None else valid
    q = torch.ones_like(scores[..., 0]) if class_marginal is None else class_marginal.to(scores.dtype)
    real = real & (q > 0)
    q = torch.where(real, q, 0)
    q = q / q.sum(dim=1, keepdim=True)
    p = torch.full_like(scores[:, 0], 1 / n)
    if position_marginal is not None:
        p = position_marginal.to(scores.dtype)
        p = p / p.sum(dim=1, keepdim=True)

    potential = _solve(scores, q, p, real, eps)
    assignment = torch.softmax(_logits(scores, potential, real, eps), dim=1)
    plan = assignment * p.unsqueeze(1)
    return Transport(plan, assignment, (plan.sum(dim=2) - q).abs().sum(dim=1))


def _logits(scores: Tensor, potential: Tensor, real: Tensor, eps: Tensor | float) -> Tensor:
    return ((scores + potential.unsqueeze(2)) / eps).masked_fill(~real.unsqueeze(2), -math.inf)


def _solve(scores: Tensor, q: Tensor, p: Tensor, real: Tensor, eps: float) -> Tensor:
    """The classes' potentials (b, k), in the units of the scores."""
    b, k, n = scores.shape
    log_q = torch.where(real, q, 1).log()
    log_p = p.log()
    low = scores.masked_fill(~real.unsqueeze(2), math.inf).amin(dim=(1, 2))
    high = scores.masked_fill(~real.unsqueeze(2), -math.inf).amax(dim=(1, 2))
    start = (high - low).clamp_min(eps)  # (b,)
    eye = torch.eye(k, dtype=scores.dtype, device=scores.device)
    # Potentials are defined up to a constant: this rank-one term fixes it, and the diagonal gives padding a pivot.
    gauge = (q.unsqueeze(2) * q.unsqueeze(1)) + eye * (~real).to(scores.dtype).unsqueeze(2)
    tiny = torch.finfo(scores.dtype).tiny

    best = torch.zeros_like(q)  # accepted potentials, scores' units
    mass = q.clone()
    hessian = torch.zeros_like(gauge)
    error = torch.full_like(q[:, 0], math.inf)
    damping = torch.full_like(error, 1e-2)
    trial, is_newton = best, torch.zeros_like(error, dtype=torch.bool)
    for step in range(_ANNEALING + _POLISHING + 1):
        progress = min(1.0, step / _ANNEALING)
        e = (start * (eps / start) ** progress).unsqueeze(1)  # (b, 1)
        if step <= _ANNEALING:  # eps has changed: the accepted potentials' error must be known at the new one
            error = torch.full_like(error, math.inf)
        pi = torch.softmax(_logits(scores, trial, real, e.unsqueeze(2)), dim=1)
        weighted = pi * p.unsqueeze(1)
        m = weighted.sum(dim=2)
        trial_error = (m - q).abs().sum(dim=1)
        accept = (trial_error < error) | ~is_newton
        a, a2 = accept.unsqueeze(1), accept.view(-1, 1, 1)
        best, mass, error = torch.where(a, trial, best), torch.where(a, m, mass), torch.where(accept, trial_error, error)
        h = torch.diag_embed(m) - weighted @ pi.transpose(1, 2)
        hessian = torch.where(a2, h, hessian)
        damping = torch.where(accept, damping / 8, damping * 8).clamp(1e-8, 1e2)
        # After a rejected Newton step, a Sinkhorn step: it never raises the error, however hard the scores.
        floor = torch.where(real, mass, 1).clamp_min(tiny)
        sinkhorn = torch.where(real, log_q - floor.log(), 0)
        system = hessian + gauge + eye * ((damping.unsqueeze(1) * mass) + 1e-7).unsqueeze(2)
        newton = torch.linalg.solve_ex(system, (q - mass).unsqueeze(2)).result.squeeze(2)
        newton = newton.nan_to_num().clamp(-4, 4)
        is_newton = accept
        trial = best + e * torch.where(a, newton, sinkhorn)
    return best
