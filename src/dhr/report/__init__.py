"""One HTML page that shows the most doubtful masks first."""

from dhr.report.build import BUDGET, write_report

__all__ = ["BUDGET", "write_report"]
