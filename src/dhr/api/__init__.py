"""The public functions. Each command of the command line is one of them."""
