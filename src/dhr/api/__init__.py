"""The public functions: each command of the command line is one of them."""
