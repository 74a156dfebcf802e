"""The paper's method, one file a section: base mask, seeds, inter-class, intra-class, boundary."""
