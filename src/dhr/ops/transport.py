"""Entropic optimal transport between the positions of an image and its classes (f_OT of Eqs. 2 to 4)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.errors import ShapeError

TOLERANCE = 1e-4
"""Marginal error that float32 reaches where the scores range over at most 100 eps; float64 reaches 1e-8."""

_ANNEALING, _POLISHING = 20, 10
"""Iterations in which eps is lowered from the range of the scores, and those at its value."""


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
    semi-dual, one potential a class: Newton's method with Levenberg-Marquardt damping, and a Sinkhorn update wherever
    Newton's step did not help (Brauer et al. 2017, "A Sinkhorn-Newton method"), while eps is lowered from the range of
    the scores to its value. All is in the log domain. The number of iterations is fixed, so nothing waits for the
    device; how well it converged is in the result. Marginals hold to :data:`TOLERANCE` up to a range of the scores
    of 100 eps.

    Args:
        scores: any finite values; only their differences between classes matter.
        class_marginal: q, normalised here over the valid classes; uniform if absent. A class of marginal 0 receives
        nothing.
        valid: False for classes that are padding; an image that has no other gets a plan of zeros.
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
    real = torch.ones_like(scores[..., 0], dtype=torch.bool) if valid is None else valid
    q = torch.ones_like(scores[..., 0]) if class_marginal is None else class_marginal.to(scores.dtype)
    real = real & (q > 0)
    # An image without a class gets an empty plan; meanwhile it is solved as if all were real, to keep NaN out.
    active = real | ~real.any(dim=1, keepdim=True)
    q = torch.where(active, torch.where(real, q, 1), 0)
    q = q / q.sum(dim=1, keepdim=True)
    p = torch.full_like(scores[:, 0], 1 / scores.shape[2])
    if position_marginal is not None:
        p = position_marginal.to(scores.dtype)
        p = p / p.sum(dim=1, keepdim=True)

    potential = _solve(scores, q, p, active, eps)
    assignment = torch.softmax(_logits(scores, potential, active, eps), dim=1) * real.unsqueeze(2)
    plan = assignment * p.unsqueeze(1)
    return Transport(plan, assignment, (plan.sum(dim=2) - q * real).abs().sum(dim=1))


def _logits(scores: Tensor, potential: Tensor, real: Tensor, eps: Tensor | float) -> Tensor:
    return ((scores + potential.unsqueeze(2)) / eps).masked_fill(~real.unsqueeze(2), -math.inf)


def _solve(scores: Tensor, q: Tensor, p: Tensor, real: Tensor, eps: float) -> Tensor:
    """The classes' potentials (b, k), in the units of the scores."""
    k = scores.shape[1]
    log_q = torch.where(real, q, 1).log()
    low = scores.masked_fill(~real.unsqueeze(2), math.inf).amin(dim=(1, 2))
    high = scores.masked_fill(~real.unsqueeze(2), -math.inf).amax(dim=(1, 2))
    start = (high - low).clamp_min(eps).unsqueeze(1)  # (b, 1)
    eye = torch.eye(k, dtype=scores.dtype, device=scores.device)
    # Potentials are defined up to a constant: this rank-one term fixes it, and the diagonal gives padding a pivot.
    gauge = q.unsqueeze(2) * q.unsqueeze(1) + eye * (~real).to(scores.dtype).unsqueeze(2)
    tiny = torch.finfo(scores.dtype).tiny

    # Accepted: potentials, and at them the classes' masses, the Hessian and the marginal error.
    best, mass, hessian = torch.zeros_like(q), q, torch.zeros_like(gauge)
    error = torch.full_like(start, math.inf)
    damping = torch.full_like(start, 1e-2)
    trial, by_newton = best, torch.zeros_like(start, dtype=torch.bool)
    for step in range(_ANNEALING + _POLISHING + 1):
        e = start * (eps / start) ** min(1.0, step / _ANNEALING)  # (b, 1), from the range of the scores down to eps
        if step <= _ANNEALING:  # eps has changed, and with it the error of what was accepted
            error = torch.full_like(error, math.inf)
        pi = torch.softmax(_logits(scores, trial, real, e.unsqueeze(2)), dim=1)
        weighted = pi * p.unsqueeze(1)
        m = weighted.sum(dim=2)
        trial_error = (m - q).abs().sum(dim=1, keepdim=True)
        # A Sinkhorn step never raises the error, so it is taken without asking.
        accept = (trial_error < error) | ~by_newton
        best, mass = torch.where(accept, trial, best), torch.where(accept, m, mass)
        error = torch.where(accept, trial_error, error)
        hessian = torch.where(accept.unsqueeze(2), torch.diag_embed(m) - weighted @ pi.transpose(1, 2), hessian)
        damping = torch.where(accept, damping / 8, damping * 8).clamp(1e-8, 1e2)

        system = hessian + gauge + torch.diag_embed(damping * mass + 1e-7)
        newton = torch.linalg.solve_ex(system, (q - mass).unsqueeze(2)).result.squeeze(2).nan_to_num()
        # Masses grow like exp(potential / e), so a long step overshoots: it is cut to its logarithm, a short one stays.
        newton = newton.sign() * newton.abs().log1p()
        sinkhorn = torch.where(real, log_q - torch.where(real, mass, 1).clamp_min(tiny).log(), 0)
        trial = best + e * torch.where(accept, newton, sinkhorn)
        by_newton = accept
    return best
