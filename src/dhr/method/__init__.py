"""The paper's method, one file per step: base mask, seeds, inter-class, intra-class, boundary correction."""
