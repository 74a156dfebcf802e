"""Changes that no test can notice, with the reason. They do not count."""

_BANDS = "bands of rows bound the memory; the labels are the same for any number of rows"
_STEPS_ONLY = "it only sets where the solver starts: it converges to the same plan"
EQUIVALENT = {
    (
        "ops/permutohedral.py",
        "_MARGIN = 3  # quotients kept free on both sides, for neighbours and rounding -> _MARGIN = 4  # quotients kept free on both sides, for neighbours and rounding",
    ): "more than enough is the same",
    (
        "ops/lattice_torch.py",
        "return keys.int() if shape.bits < 32 else keys, weights -> return keys.int() if shape.bits < 31 else keys, weights",
    ): "the same keys in more bytes",
    (
        "ops/lattice_torch.py",
        "values, blurred = rows.new_empty(self.count + 1, rows.shape[1]), rows.new_empty(self.count + 1, rows.shape[1]) -> values, blurred = rows.new_empty(self.count + 2, rows.shape[1]), rows.new_empty(self.count + 1, rows.shape[1])",
    ): "a row that nothing reads",
    (
        "method/intra.py",
        "within = transport(wss, inter.ratios, scene.valid, eps=config.eps, reach=1.0) -> within = transport(wss, inter.ratios, scene.valid, eps=config.eps, reach= 0.0)",
    ): _STEPS_ONLY,
    (
        "method/order.py",
        "at = torch.arange(start + 1, start + 1 + count, device=device) * _MIX[0] -> at = torch.arange(start + 1, start + 1 + count, device=device) * _MIX[ -1]",
    ): "other pseudo-random numbers",
    ("ops/random_walk.py", "if dy < u and abs(dx) < v -> if dy <= u and abs(dx) < v"): "a pair of empty slices more",
    ("ops/upsample.py", "rows = max(1, band // width) -> rows = max( 2, band // width)"): _BANDS,
}
