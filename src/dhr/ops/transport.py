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

_FARTHEST, _ANNEALING, _POLISHING = 100.0, 20, 10
"""Range of the scores in eps; iterations in which eps is lowered from that range, and those at its value."""


@dataclass(frozen=True)
class Transport:
    """The solution of :func:`transport`."""

    plan: Float[Tensor, "b k n"]
    """T: mass that goes from position n to class k; sums to 1; 0 where the class is padding."""
    assignment: Float[Tensor, "b k n"]
    """T divided by the positions' mass: over the classes it sums to 1 at every position."""
    marginal_error: Float[Tensor, " b"]
    """Sum over the classes of ``|sum_n T_kn - q_k|``. Where it is 0 the plan is the solution; the positions' marginal
    is exact."""


@torch.no_grad()
def transport(
    scores: Float[Tensor, "b k n"],
    class_marginal: Float[Tensor, "b k"] | None = None,
    valid: Bool[Tensor, "b k"] | None = None,
    position_marginal: Float[Tensor, "b n"] | None = None,
    eps: float = 0.1,
    reach: float | None = None,
) -> Transport:
    r"""Transport the positions' mass to the classes where it scores highest, given how much each class receives.

    .. math:: f_{OT}(S) = \arg\min_{T \ge 0} \sum_{kn} T_{kn} (1 - S_{kn}) - \epsilon H(T)
              \quad\text{s.t.}\quad \sum_k T_{kn} = p_n,\; \sum_n T_{kn} = q_k

    (paper, Section 3.2; ``eps`` is its lambda).

    With few classes and many positions the problem is best solved in its semi-dual, one potential per class: Newton's
    method with Levenberg-Marquardt damping, and Sinkhorn updates where Newton's step did not help (Brauer et al. 2017,
    "A Sinkhorn-Newton method"), while eps is lowered from the range of the scores to its value. All is in the log
    domain. The number of iterations is fixed, so nothing waits for the device; the result holds the remaining error.
    Marginals hold to :data:`TOLERANCE` up to a range of the scores of 100 eps. On the CPU, float32 is solved by a
    compiled kernel, which finishes each image as soon as it has converged.

    Args:
        scores: any finite values; only their differences between classes matter. Half precision is solved in single
            precision.
        class_marginal: q, normalised here over the valid classes; uniform if absent. A class of marginal 0 receives
            nothing.
        valid: False for classes that are padding; an image with padding alone gets a plan of zeros.
        position_marginal: p, normalised here; uniform if absent.
        eps: strength of the entropy, > 0.
        reach: the range of the scores, if it is known: a smaller one takes fewer iterations (100 eps by default).

    Raises:
        ShapeError: ``eps`` is not positive; scores are not floats, or are empty; the others do not fit them.

    >>> scores = torch.tensor([[[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.6, 0.5]]])
    >>> result = transport(scores, class_marginal=torch.tensor([[0.75, 0.25]]), eps=0.01)
    >>> result.assignment.argmax(dim=1)
    tensor([[0, 0, 1, 0]])
    """
    if not eps > 0:
        raise ShapeError(f"eps must be positive, got {eps}")
    scores = _prepared(scores, class_marginal, valid, position_marginal)
    q, real, active = _classes(scores, class_marginal, valid)
    p = torch.full_like(scores[:, 0], 1 / scores.shape[2])
    if position_marginal is not None:
        p = position_marginal.to(scores.dtype)
        p = p / p.sum(dim=1, keepdim=True)

    # Relative to the highest, differences keep more digits; padding is lowest, and stays so.
    relative = scores.masked_fill(~active.unsqueeze(2), -math.inf)
    relative = relative - relative.amax(dim=1, keepdim=True)
    compiled = scores.device.type == "cpu" and scores.dtype == torch.float32
    annealing = _annealing(_FARTHEST if reach is None else reach / eps)
    potential = _solve_compiled(relative, q, p, eps) if compiled else _solve(relative, q, p, eps, annealing)
    assignment = torch.softmax((relative + potential.unsqueeze(2)) / eps, dim=1) * real.unsqueeze(2)
    plan = assignment * p.unsqueeze(1)
    target = torch.log_softmax(q.log(), dim=1).exp() * real
    return Transport(plan, assignment, (plan.sum(dim=2) - target).abs().sum(dim=1))


def _classes(scores: Tensor, class_marginal: Tensor | None, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """q, summing to one; which classes are real and receive mass; which classes are solved for."""
    real = torch.ones_like(scores[..., 0], dtype=torch.bool) if valid is None else valid
    q = torch.ones_like(scores[..., 0]) if class_marginal is None else class_marginal.to(scores.dtype)
    real = real & (q > 0)
    # An image without a class gets an empty plan; meanwhile it is solved as if all were real, to keep NaN out.
    active = real | ~real.any(dim=1, keepdim=True)
    q = torch.where(active, torch.where(real, q, 1), 0)
    return q / q.sum(dim=1, keepdim=True), real, active


@torch.no_grad()
def sinkhorn(
    scores: Float[Tensor, "b k n"],
    class_marginal: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    eps: float,
    iterations: int,
) -> Transport:
    """A given number of Sinkhorn's iterations (Cuturi 2013) towards :func:`transport`, positions last.

    After few iterations the class marginals are far from met, as in the authors' program.
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
    """Check the arguments; return the scores in at least single precision."""
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


def _span(relative: Tensor, q: Tensor, eps: float) -> Tensor:
    """Range of the scores, at least eps (b, 1)."""
    return -relative.masked_fill((q == 0).unsqueeze(2), 0).amin(dim=(1, 2)).clamp_max(-eps).unsqueeze(1)


def _annealing(reach: float) -> int:
    """Return the number of iterations that lower eps from a range in eps, each by the same factor.

    >>> _annealing(100.0), _annealing(5.0), _annealing(0.5)
    (20, 7, 1)
    """
    return max(1, math.ceil(_ANNEALING * math.log(max(reach, 1)) / math.log(_FARTHEST)))


def _solve(relative: Tensor, q: Tensor, p: Tensor, eps: float, annealing: int) -> Tensor:
    """Find the classes' potentials (b, k), in the units of the scores.

    A GPU takes longer to begin an operation on a few classes than to finish it, so there are as few as possible: what
    is accepted together lies in one tensor.
    """
    k, limits = q.shape[1], torch.finfo(relative.dtype)
    span, real = _span(relative, q, eps), q > 0
    eye = torch.eye(k, dtype=q.dtype, device=q.device)
    # Potentials are defined up to a constant: this rank-one term fixes it, and the diagonal gives padding a pivot.
    gauge = q.unsqueeze(2) * q.unsqueeze(1) + eye * (~real).to(q.dtype).unsqueeze(2)
    real = real.to(q.dtype)
    log_target = torch.log_softmax(q.log(), dim=1)
    target = log_target.exp()
    log_target = log_target.masked_fill(q == 0, 0)
    levels = _levels(span, eps, annealing)  # (turns, b, 1)

    # Accepted: potentials, and at them what is missing to the targets, the mass, and the mass that classes share.
    accepted = relative.new_zeros(len(q), k, k + 3)
    infinite, less, more = (torch.full_like(span, value) for value in (math.inf, 1 / 8, 8))
    error, damping = infinite, torch.full_like(span, 1e-2)
    trial, by_newton = torch.zeros_like(q), torch.zeros_like(span, dtype=torch.bool)
    for turn, e in enumerate(levels):  # from the range of the scores down to eps
        if turn <= annealing:  # eps has changed, and with it the error of what was accepted
            error = infinite
        pi = torch.softmax((relative + trial.unsqueeze(2)) / e.unsqueeze(2), dim=1)
        weighted = pi * p.unsqueeze(1)
        mass = weighted.sum(dim=2)
        missing = target - mass
        found = missing.abs().sum(dim=1, keepdim=True)
        accept = (found < error) >= by_newton  # a Sinkhorn step leads nearer, so it is taken without asking
        now = torch.cat([torch.stack([trial, missing, mass], dim=2), weighted @ pi.transpose(1, 2)], dim=2)
        accepted = torch.where(accept.unsqueeze(2), now, accepted)
        error = torch.where(accept, found, error)
        best, gap, weight = accepted[..., 0], accepted[..., 1], accepted[..., 2]
        damping = (damping * torch.where(accept, less, more)).clamp(1e-8, 1e2)

        excess = (log_target - weight.clamp_min(limits.tiny).log()) * real
        # The Hessian is diag(mass) - shared mass; damping makes its diagonal larger.
        diagonal = torch.addcmul(weight + limits.eps, damping, weight)
        system = torch.addcmul(gauge - accepted[..., 3:], eye, diagonal.unsqueeze(2))
        newton = torch.linalg.solve_ex(system, gap.unsqueeze(2)).result.squeeze(2).nan_to_num()
        # A long step overshoots: it is cut to its logarithm, a short one stays. Where the logarithms of mass and target
        # are far apart, however small both are, Newton's step is useless, and Sinkhorn's is right.
        newton = torch.where(excess.abs() > 2, excess, newton.abs().log1p().copysign(newton))
        trial = torch.addcmul(best, e, torch.where(accept, newton, excess))
        by_newton = accept
    return best


def _levels(span: Tensor, eps: float, annealing: int) -> Tensor:
    """Return eps of each iteration, (turns, b, 1): lowered from the range of the scores, then its value."""
    turns = torch.arange(annealing + _POLISHING + 1, device=span.device, dtype=span.dtype)
    return span * (eps / span) ** (turns / annealing).clamp_max(1).view(-1, 1, 1)


def _solve_compiled(relative: Tensor, q: Tensor, p: Tensor, eps: float) -> Tensor:
    """Compute the same, many times as fast (docs/measurements.md)."""
    import numpy as np

    from dhr.ops import transport_kernels as kernels
    from dhr.ops.parallel import run_parallel, split

    b, k, n = relative.shape
    filled = (0, -n % kernels.LANES)
    scores, positions = pad(relative, filled).contiguous().numpy(), pad(p, filled).contiguous().numpy()
    shares, span = q.double().numpy(), _span(relative, q, eps)[:, 0].double().numpy()
    potentials = np.empty((b, k))
    numbers = (float(eps), _ANNEALING, 2 * _POLISHING, 3e-7)
    run_parallel(
        kernels.solve,
        ((scores, positions, shares, span, *numbers, potentials, *images) for images in split(b, k * n)),
    )
    return torch.from_numpy(potentials).to(relative.dtype)
