"""Entropic optimal transport between the positions of an image and its classes (f_OT of Eqs. 2 to 4)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.errors import ShapeError

TOLERANCE = 1e-4
"""Marginal error that float32 reaches at any eps >= 0.01 and scores in 0..1; float64 reaches 1e-9."""

_SETTLED = 1e-3
"""Marginal error at which eps is lowered further."""
_POLISHING, _PER_HALVING = 16, 5
"""Iterations at the last eps, and for each halving on the way to it from 1: for hard cases (one-hot scores at eps
0.01 take 42 of 51; random ones take 15)."""


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
    semi-dual, one potential a class: Newton's method with Levenberg-Marquardt damping, a Sinkhorn update wherever
    Newton's step did not help (Brauer et al. 2017, "A Sinkhorn-Newton method"), while eps is halved from the range
    of the scores to its value. All is in the log domain, and the number of iterations depends on ``eps`` only, so
    nothing waits for the device.

    Args:
        scores: any finite values, best within 0..1; only their differences between classes matter.
        class_marginal: q, normalised here over the valid classes; uniform if absent. A class of marginal 0 receives
        nothing.
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
    real = torch.ones_like(scores[..., 0], dtype=torch.bool) if valid is None else valid
    q = torch.ones_like(scores[..., 0]) if class_marginal is None else class_marginal.to(scores.dtype)
    real = real & (q > 0)
    q = torch.where(real, q, 0)
    q = q / q.sum(dim=1, keepdim=True)
    p = torch.full_like(scores[:, 0], 1 / scores.shape[2])
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
    k = scores.shape[1]
    iterations = _POLISHING + _PER_HALVING * max(0, math.ceil(math.log2(1 / eps)))
    log_q = torch.where(real, q, 1).log()
    low = scores.masked_fill(~real.unsqueeze(2), math.inf).amin(dim=(1, 2))
    high = scores.masked_fill(~real.unsqueeze(2), -math.inf).amax(dim=(1, 2))
    eye = torch.eye(k, dtype=scores.dtype, device=scores.device)
    # Potentials are defined up to a constant: this rank-one term fixes it, and the diagonal gives padding a pivot.
    gauge = q.unsqueeze(2) * q.unsqueeze(1) + eye * (~real).to(scores.dtype).unsqueeze(2)
    tiny = torch.finfo(scores.dtype).tiny

    # Accepted: potentials, their eps, and at them the classes' masses, the Hessian and the marginal error.
    best, mass, hessian = torch.zeros_like(q), q, torch.zeros_like(gauge)
    e = (high - low).clamp_min(eps).unsqueeze(1)  # (b, 1)
    error = torch.full_like(e, math.inf)
    damping = torch.full_like(e, 1e-3)
    # On trial: potentials, their eps, and whether a Newton step led there.
    trial, trial_e, by_newton = best, e, torch.zeros_like(e, dtype=torch.bool)
    last, last_e = best, 2 * e  # where the eps before was solved, for the extrapolation
    for _ in range(iterations):
        pi = torch.softmax(_logits(scores, trial, real, trial_e.unsqueeze(2)), dim=1)
        weighted = pi * p.unsqueeze(1)
        m = weighted.sum(dim=2)
        trial_error = (m - q).abs().sum(dim=1, keepdim=True)
        # A Sinkhorn step never raises the error, so it is taken without asking; so is the first step at a new eps.
        accept = (trial_error < error) | ~by_newton
        best, mass = torch.where(accept, trial, best), torch.where(accept, m, mass)
        e, error = torch.where(accept, trial_e, e), torch.where(accept, trial_error, error)
        h = torch.diag_embed(m) - weighted @ pi.transpose(1, 2)
        hessian = torch.where(accept.unsqueeze(2), h, hessian)
        damping = torch.where(by_newton, torch.where(accept, damping / 8, damping * 8), damping).clamp(1e-7, 1e3)

        system = hessian + gauge + torch.diag_embed(damping * mass + tiny)
        newton = torch.linalg.solve_ex(system, (q - mass).unsqueeze(2)).result.squeeze(2).nan_to_num().clamp(-4, 4)
        sinkhorn = torch.where(real, log_q - torch.where(real, mass, 1).clamp_min(tiny).log(), 0)
        trial = best + e * torch.where(accept, newton, sinkhorn)

        # Solved well enough at this eps: halve it, and follow the line through the last two solutions, as potentials
        # are nearly linear in eps once it is small.
        lower = (error < _SETTLED) & (e > eps)
        trial_e = torch.where(lower, (e / 2).clamp_min(eps), e)
        ahead = trial + (trial - last) * ((trial_e - e) / (e - last_e))
        last, last_e = torch.where(lower, trial, last), torch.where(lower, e, last_e)
        trial = torch.where(lower, ahead, trial)
        by_newton = accept & ~lower
        error = torch.where(lower, math.inf, error)
    return best
