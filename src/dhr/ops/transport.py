"""Entropic optimal transport between the positions of an image and its classes (f_OT of Eqs. 2 to 4)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

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
    """Sum over the classes of ``|sum_n T_kn - t_k|``, t what the classes ought to receive: q, or with a finite
    strength :math:`q_k e^{-f_k / \\rho}` over its sum, f their potentials. Where it is 0 the plan is the solution; the
    positions' marginal is exact."""


@torch.no_grad()
def transport(
    scores: Float[Tensor, "b k n"],
    class_marginal: Float[Tensor, "b k"] | None = None,
    valid: Bool[Tensor, "b k"] | None = None,
    position_marginal: Float[Tensor, "b n"] | None = None,
    eps: float = 0.1,
    strength: float = math.inf,
) -> Transport:
    r"""Transport the positions' mass to the classes where it scores highest, given how much each class receives.

    .. math:: f_{OT}(S) = \arg\min_{T \ge 0} \sum_{kn} T_{kn} (1 - S_{kn}) - \epsilon H(T)
              \quad\text{s.t.}\quad \sum_k T_{kn} = p_n,\; \sum_n T_{kn} = q_k

    (paper, Section 3.2; ``eps`` is its lambda). With a finite ``strength`` :math:`\rho` the classes are no longer held
    to q, but pay for leaving it: in place of the second condition :math:`\rho\, KL(T 1 | q)` is added, with
    :math:`KL(x|q) = \sum_k x_k \log(x_k / q_k) - x_k + q_k` (semi-unbalanced transport: Chizat et al. 2018, "Scaling
    algorithms for unbalanced transport problems"). As the strength grows, the masses tend to q. As it falls to 0, the
    assignment tends to the softmax of S / eps over the classes, whatever q is, but for classes of marginal 0, which
    never receive anything.

    With few classes and many positions the problem is best solved in its semi-dual, one potential a class: Newton's
    method with Levenberg-Marquardt damping, and Sinkhorn updates where Newton's step did not help (Brauer et al. 2017,
    "A Sinkhorn-Newton method"), while eps is lowered from the range of the scores to its value. All is in the log
    domain. The number of iterations is fixed, so nothing waits for the device; how well it converged is in the result.
    Marginals hold to :data:`TOLERANCE` up to a range of the scores of 100 eps. On the CPU, float32 is solved by a
    compiled kernel, which ends with each image as soon as it has converged.

    Args:
        scores: any finite values; only their differences between classes matter. Those in half precision are solved,
            and the result is, in single precision.
        class_marginal: q, normalised here over the valid classes; uniform if absent. A class of marginal 0 receives
            nothing.
        valid: False for classes that are padding; an image that has no other gets a plan of zeros.
        position_marginal: p, normalised here; uniform if absent.
        eps: strength of the entropy, > 0.
        strength: how firmly the classes are held to q, > 0, in the units of the scores; infinite: exactly.

    Raises:
        ShapeError: ``eps`` or ``strength`` is not positive; scores are no floats, or have no class or no position; the
            others do not fit them.

    >>> scores = torch.tensor([[[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.6, 0.5]]])
    >>> result = transport(scores, class_marginal=torch.tensor([[0.75, 0.25]]), eps=0.01)
    >>> result.assignment.argmax(dim=1)
    tensor([[0, 0, 1, 0]])
    >>> transport(scores, class_marginal=torch.tensor([[0.75, 0.25]]), eps=0.01, strength=0.01).assignment.argmax(dim=1)
    tensor([[0, 0, 0, 0]])
    """
    if not eps > 0:
        raise ShapeError(f"eps must be positive, got {eps}")
    if not strength > 0:
        raise ShapeError(f"strength must be positive, infinite for exact class marginals; got {strength}")
    scores = _prepared(scores, class_marginal, valid, position_marginal)
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

    # Relative to the highest, differences keep more digits; padding is lowest, and stays so.
    relative = scores.masked_fill(~active.unsqueeze(2), -math.inf)
    relative = relative - relative.amax(dim=1, keepdim=True)
    compiled = scores.device.type == "cpu" and scores.dtype == torch.float32
    potential = (_solve_compiled if compiled else _solve)(relative, q, p, eps, strength)
    assignment = torch.softmax((relative + potential.unsqueeze(2)) / eps, dim=1) * real.unsqueeze(2)
    plan = assignment * p.unsqueeze(1)
    target = _log_target(q, potential, strength).exp() * real
    return Transport(plan, assignment, (plan.sum(dim=2) - target).abs().sum(dim=1))


@torch.no_grad()
def sinkhorn(
    scores: Float[Tensor, "b k n"],
    class_marginal: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    eps: float,
    iterations: int,
) -> Transport:
    """A given number of Sinkhorn's iterations (Cuturi 2013) towards :func:`transport`, positions last.

    Where programs stop after few of them the class marginals are far from met; here to see what that does.
    """
    scores = _prepared(scores, class_marginal, valid)
    class_marginal = class_marginal.to(scores.dtype)
    real = valid & (class_marginal > 0)
    log_q = torch.where(real, class_marginal, 0).log()
    kernel = (scores / eps).masked_fill(~real.unsqueeze(2), -math.inf)
    share = math.log(scores.shape[2])
    potential, level = torch.zeros_like(log_q), torch.zeros_like(scores[:, 0])
    for _ in range(iterations):
        mass = torch.logsumexp(kernel - level.unsqueeze(1), dim=2) - share
        potential = torch.where(real, log_q - mass, 0)
        level = torch.logsumexp(kernel + potential.unsqueeze(2), dim=1)
    assignment = (kernel + potential.unsqueeze(2) - level.unsqueeze(1)).exp().nan_to_num()
    plan = assignment / scores.shape[2]
    return Transport(plan, assignment, (plan.sum(dim=2) - log_q.exp()).abs().sum(dim=1))


def _prepared(
    scores: Tensor, class_marginal: Tensor | None, valid: Tensor | None, position_marginal: Tensor | None = None
) -> Tensor:
    """Scores in at least single precision, if all fits together."""
    if scores.ndim != 3 or not scores.is_floating_point():
        raise ShapeError(
            f"scores must be floats, (images, classes, positions), got {scores.dtype} {tuple(scores.shape)}; convert "
            "them with .float()"
        )
    b, k, n = scores.shape
    if k == 0 or n == 0:
        raise ShapeError(f"scores must have a class and a position at least, got {tuple(scores.shape)}")
    given = {"class_marginal": (class_marginal, (b, k)), "valid": (valid, (b, k))}
    given["position_marginal"] = position_marginal, (b, n)
    for name, (one, expected) in given.items():
        if one is not None and one.shape != expected:
            raise ShapeError(f"{name} must be {expected} for scores {tuple(scores.shape)}, got {tuple(one.shape)}")
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def _log_target(q: Tensor, potential: Tensor, strength: float) -> Tensor:
    """Log of what each class ought to receive at these potentials, -inf for padding.

    As the positions' marginal is exact, the total is 1 whatever the potentials' level: to divide by the sum keeps the
    level free, as it is with an infinite strength, where this is log q.
    """
    return torch.log_softmax(q.log() - potential / strength, dim=1)


def _span(relative: Tensor, q: Tensor, eps: float) -> Tensor:
    """Range of the scores, at least eps (b, 1)."""
    return -relative.masked_fill((q == 0).unsqueeze(2), 0).amin(dim=(1, 2)).clamp_max(-eps).unsqueeze(1)


def _solve(relative: Tensor, q: Tensor, p: Tensor, eps: float, strength: float) -> Tensor:
    """The classes' potentials (b, k), in the units of the scores."""
    span, real = _span(relative, q, eps), q > 0
    limits = torch.finfo(relative.dtype)
    eye = torch.eye(q.shape[1], dtype=q.dtype, device=q.device)
    # Potentials are defined up to a constant: this rank-one term fixes it, and the diagonal gives padding a pivot.
    gauge = q.unsqueeze(2) * q.unsqueeze(1) + eye * (~real).to(q.dtype).unsqueeze(2)

    # Accepted: potentials, and at them what is missing to the targets, its logarithm, the Hessian and its diagonal.
    best, gap, excess, weight, hessian = torch.zeros_like(q), q, q, q, gauge
    error = torch.full_like(span, math.inf)
    damping = torch.full_like(span, 1e-2)
    trial, by_newton = best, torch.zeros_like(span, dtype=torch.bool)
    for turn in range(_ANNEALING + _POLISHING + 1):
        e = span * (eps / span) ** min(1.0, turn / _ANNEALING)  # (b, 1), from the range of the scores down to eps
        if turn <= _ANNEALING:  # eps has changed, and with it the error of what was accepted
            error = torch.full_like(error, math.inf)
        pi = torch.softmax((relative + trial.unsqueeze(2)) / e.unsqueeze(2), dim=1)
        weighted = pi * p.unsqueeze(1)
        mass, log_target = weighted.sum(dim=2), _log_target(q, trial, strength)
        target = log_target.exp()
        # Masses grow like exp(potential / e), targets fall like exp(-potential / strength). Steps are counted in the
        # unit that makes the two exponents add up to 1; this is the masses' part of it.
        own = 1 / (1 + e / strength)
        found = (mass - target).abs().sum(dim=1, keepdim=True)
        accept = (found < error) | ~by_newton  # a Sinkhorn step leads nearer, so it is taken without asking
        best, error = torch.where(accept, trial, best), torch.where(accept, found, error)
        gap = torch.where(accept, target - mass, gap)
        excess = torch.where(accept & real, log_target - mass.clamp_min(limits.tiny).log(), excess)
        weight = torch.where(accept, own * mass + (1 - own) * target, weight)
        shared = own.unsqueeze(2) * (weighted @ pi.transpose(1, 2))
        shared = shared + ((1 - own) * target).unsqueeze(2) * target.unsqueeze(1)
        hessian = torch.where(accept.unsqueeze(2), torch.diag_embed(weight) - shared, hessian)
        damping = torch.where(accept, damping / 8, damping * 8).clamp(1e-8, 1e2)

        system = hessian + gauge + torch.diag_embed(damping * weight + limits.eps)
        newton = torch.linalg.solve_ex(system, gap.unsqueeze(2)).result.squeeze(2).nan_to_num()
        # A long step overshoots: it is cut to its logarithm, a short one stays. Where a mass is far from its target
        # by its logarithm, however small both are, Newton's step knows nothing, and Sinkhorn's is right.
        newton = torch.where(excess.abs() > 2, excess, newton.sign() * newton.abs().log1p())
        trial = best + e * own * torch.where(accept, newton, excess)
        by_newton = accept
    return best


def _solve_compiled(relative: Tensor, q: Tensor, p: Tensor, eps: float, strength: float) -> Tensor:
    """The same, many times as fast (docs/measurements.md)."""
    import numpy as np

    from dhr.ops import transport_kernels as kernels
    from dhr.ops.parallel import run_parallel, split

    b, k, n = relative.shape
    filled = (0, -n % kernels.LANES)
    scores, positions = pad(relative, filled).contiguous().numpy(), pad(p, filled).contiguous().numpy()
    shares, span = q.double().numpy(), _span(relative, q, eps)[:, 0].double().numpy()
    potentials = np.empty((b, k))
    numbers = (float(eps), 1 / strength, _ANNEALING, 2 * _POLISHING, 3e-7)
    run_parallel(
        kernels.solve,
        ((scores, positions, shares, span, *numbers, potentials, *images) for images in split(b, k * n)),
    )
    return torch.from_numpy(potentials).to(relative.dtype)
