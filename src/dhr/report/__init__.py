"""One HTML page that says which masks to look at first."""

from dhr.report.build import BUDGET, write_report

__all__ = ["BUDGET", "write_report"]
