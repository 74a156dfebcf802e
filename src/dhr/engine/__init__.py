"""Runs on many machines: Ray spreads groups of photographs over workers, and each group becomes a file of rows."""
