"""Which tests concern a module. Code that numba compiles is left out: each change of it takes minutes to compile."""

import hashlib
from functools import cache
from pathlib import Path

_STEPS = ("method/test_steps.py", "method/test_equations.py", "method/test_rebalance.py")
_NAMES: dict[str, tuple[str, ...]] = {
    "ops/adjacency.py": ("ops/test_adjacency.py",),
    "ops/boxes.py": ("models/test_detectors.py",),
    "ops/centroids.py": ("ops/test_centroids.py", "ops/test_pooling.py"),
    "ops/crf.py": ("ops/test_crf.py",),
    "ops/crf_cpu.py": ("ops/test_permutohedral.py", "ops/test_crf.py"),
    "ops/crf_torch.py": ("ops/test_permutohedral.py", "ops/test_crf.py"),
    "ops/discriminant.py": ("ops/test_discriminant.py", "method/test_survey.py", "method/test_swaps.py"),
    "ops/gaussian.py": ("ops/test_permutohedral.py", "ops/test_crf.py"),
    "ops/isotonic.py": ("ops/test_isotonic.py",),
    "ops/lattice_torch.py": ("ops/test_permutohedral.py",),
    "ops/pamr.py": ("ops/test_pamr.py",),
    "ops/pamr_cpu.py": ("ops/test_pamr.py",),
    "ops/parallel.py": ("ops/test_parallel.py",),
    "ops/permutohedral.py": ("ops/test_permutohedral.py", "ops/test_crf.py"),
    "ops/random_walk.py": ("ops/test_random_walk.py",),
    "ops/regions.py": ("ops/test_regions.py",),
    "ops/similarity.py": ("ops/test_similarity.py", "ops/test_centroids.py"),
    "ops/transport.py": ("ops/test_transport.py",),
    "ops/upsample.py": ("ops/test_upsample.py", "ops/test_pooling.py"),
    "method/base.py": (*_STEPS, "method/test_segments.py"),
    "method/boundary.py": ("method/test_boundary.py",),
    "method/calibrate.py": ("method/test_calibration.py",),
    "method/calibration.py": ("method/test_calibration.py",),
    "method/cells.py": ("method/test_survey.py", "method/test_swaps.py"),
    "method/companions.py": ("method/test_companions.py",),
    "method/config.py": ("method/test_config.py",),
    "method/evidence.py": ("method/test_calibration.py",),
    "method/guard.py": ("method/test_guard.py", "method/test_survey.py"),
    "method/heatmaps.py": _STEPS,
    "method/held.py": ("method/test_held.py",),
    "method/inter.py": _STEPS,
    "method/intra.py": _STEPS,
    "method/marginal.py": (*_STEPS, "method/test_held.py"),
    "method/order.py": ("method/test_order.py",),
    "method/quality.py": (*_STEPS, "method/test_trust.py"),
    "method/rebalance.py": (*_STEPS, "method/test_bad_input.py", "method/test_held.py", "method/test_guard.py"),
    "method/released.py": ("method/test_released.py",),
    "method/scene.py": (*_STEPS, "method/test_held.py"),
    "method/seeds.py": _STEPS,
    "method/segments.py": ("method/test_segments.py",),
    "method/steps.py": (*_STEPS, "method/test_held.py"),
    "method/survey.py": ("method/test_survey.py", "method/test_swaps.py", "method/test_trust.py"),
    "method/survey_fit.py": ("method/test_survey.py", "method/test_swaps.py", "method/test_trust.py"),
    "method/swaps.py": ("method/test_swaps.py",),
    "method/transported.py": _STEPS,
}
COMPILED = {
    *(f"ops/{name}_kernels.py" for name in ("adjacency", "crf", "pamr", "transport", "upsample")),
    *("ops/simd.py", "ops/compiled.py"),
}
"""What numba compiles, and how."""
TESTS = {module: tuple(f"tests/{name}" for name in names) for module, names in _NAMES.items()}


@cache
def digest(root: Path, module: str) -> str:
    """The digest of the tests of a module."""
    return hashlib.sha256(b"".join((root / name).read_bytes() for name in TESTS[module])).hexdigest()[:16]
