"""``python -m dhr`` is ``dhr``."""

from dhr.cli import entry

entry()
