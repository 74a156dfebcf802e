"""Training on tags alone."""
