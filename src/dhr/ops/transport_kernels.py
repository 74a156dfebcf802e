"""numba kernel of the transport on the CPU: the steps of PyTorch, one image at a time, until it has converged.

Positions lie in whole registers of :data:`LANES`; those that fill the last one up have no mass. Only the classes that
take part are looked at.
"""
# mypy: ignore-errors

import numpy as np

from dhr.ops.compiled import kernel
from dhr.ops.simd import add, divide, exp, full, larger, load, load_at, multiply, scale, store, subtract, total

LANES = 16  # positions at a time
_LANES = (0,) * LANES
_FALL = 0.2  # most by which log eps falls from one iteration to the next, if there are enough of them


@kernel
def solve(scores, positions, q, span, eps, annealing, polishing, tolerance, potentials, i0, i1):
    """Potentials (b, k) of images i0..i1; ``span`` (b,) is the range of their scores."""
    classes = scores.shape[1]
    part = np.empty(classes, np.int64)
    chances = np.empty((classes, LANES), np.float32)
    sums = np.empty((classes * (classes + 1) // 2, LANES), np.float32)
    shared, hessian, factor = np.empty((classes, classes)), np.empty((classes, classes)), np.empty((classes, classes))
    best, trial, step, weight, gap, excess = np.empty((6, classes))
    mass, target, log_target = np.empty((3, classes))
    for i in range(i0, i1):
        k = 0
        for c in range(classes):
            potentials[i, c] = 0
            if q[i, c] > 0:
                part[k] = c
                k += 1
        best[:], trial[:] = 0, 0
        _aim(q, i, part, k, target, log_target)
        error, damping, by_newton = 1e30, 1e-2, False
        descent = np.log(span[i] / eps)
        falls = min(annealing, int(np.ceil(descent / _FALL)))
        for turn in range(falls + polishing + 1):
            e = eps if turn >= falls else span[i] * np.exp(-descent * turn / falls)
            if turn <= falls:
                error = 1e30
            _share_out(scores, positions, i, part, k, trial, np.float32(1 / e), chances, sums, shared, mass)
            found = 0.0
            for c in range(k):
                found += abs(mass[c] - target[c])
            accept = found < error or not by_newton
            if accept:
                error, damping = found, max(damping / 8, 1e-8)
                for c in range(k):
                    best[c] = trial[c]
                    gap[c] = target[c] - mass[c]
                    excess[c] = log_target[c] - np.log(max(mass[c], 1e-37))
                    weight[c] = mass[c]
                    for d in range(c + 1):
                        hessian[c, d] = q[i, part[c]] * q[i, part[d]] - shared[c, d]
                    hessian[c, c] += weight[c]
                if turn >= falls and error < tolerance:
                    break
                for c in range(k):
                    step[c] = damping * weight[c] + 1.2e-7
                _solve_system(hessian, step, gap, k, factor)
                for c in range(k):
                    if abs(excess[c]) > 2:
                        step[c] = excess[c]
                    else:
                        step[c] = np.sign(step[c]) * np.log1p(abs(step[c]))
            else:
                damping = min(damping * 8, 1e2)
                step[:] = excess
            for c in range(k):
                trial[c] = best[c] + e * step[c]
            by_newton = accept
        for c in range(k):
            potentials[i, part[c]] = best[c]


@kernel
def _share_out(scores, positions, i, part, k, potential, inverse, chances, sums, shared, mass):
    """What the classes get of all positions, and what each two of them share: sum_n p_n pi_kn pi_ln."""
    _, classes, width = scores.shape
    sums[:] = 0
    for at in range(0, width, LANES):
        top = full(_LANES, np.float32(-1e30))
        for c in range(k):
            row = add(
                load_at(_LANES, scores, (i * classes + part[c]) * width + at), full(_LANES, np.float32(potential[c]))
            )
            row = scale(inverse, row)
            store(chances, c, row)
            top = larger(top, row)
        whole = full(_LANES, np.float32(0))
        for c in range(k):
            row = exp(subtract(load(_LANES, chances, c), top))
            store(chances, c, row)
            whole = add(whole, row)
        whole = divide(full(_LANES, np.float32(1)), whole)
        here = load_at(_LANES, positions, i * width + at)
        pair = 0
        for c in range(k):
            row = multiply(load(_LANES, chances, c), whole)
            store(chances, c, row)
            row = multiply(row, here)
            for d in range(c + 1):
                store(sums, pair, add(load(_LANES, sums, pair), multiply(row, load(_LANES, chances, d))))
                pair += 1
    mass[:] = 0
    pair = 0
    for c in range(k):
        for d in range(c + 1):
            value = float(total(load(_LANES, sums, pair)))
            shared[c, d] = value
            mass[c] += value
            if d < c:
                mass[d] += value
            pair += 1


@kernel
def _aim(q, i, part, k, target, log_target):
    """The masses of the classes that take part, and their logarithms."""
    top = -1e300
    for c in range(k):
        log_target[c] = np.log(q[i, part[c]])
        top = max(top, log_target[c])
    whole = 0.0
    for c in range(k):
        whole += np.exp(log_target[c] - top)
    top += np.log(whole)
    for c in range(k):
        log_target[c] -= top
        target[c] = np.exp(log_target[c])


@kernel
def _solve_system(matrix, vector, right, k, factor):
    """Write into ``vector``, which comes as an addition to the diagonal, what times ``matrix`` is ``right``."""
    for c in range(k):
        for d in range(c + 1):  # Cholesky
            value = matrix[c, d]
            for x in range(d):
                value -= factor[c, x] * factor[d, x]
            if d == c:
                factor[c, c] = np.sqrt(max(value + vector[c], 1e-14))
            else:
                factor[c, d] = value / factor[d, d]
    for c in range(k):
        value = right[c]
        for x in range(c):
            value -= factor[c, x] * vector[x]
        vector[c] = value / factor[c, c]
    for c in range(k - 1, -1, -1):
        value = vector[c]
        for x in range(c + 1, k):
            value -= factor[x, c] * vector[x]
        vector[c] = value / factor[c, c]
