"""Modules without tests, which import what only `make mutants` needs."""

collect_ignore = ["__main__.py", "changes.py", "process.py"]
