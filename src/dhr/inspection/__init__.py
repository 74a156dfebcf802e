"""The content of a data set, before anything runs."""

from dhr.inspection.census import ClassCensus, Duplicates, Inspection, inspect_data
from dhr.inspection.page import BUDGET, write_page
from dhr.inspection.words import Note, notes

__all__ = ["BUDGET", "ClassCensus", "Duplicates", "Inspection", "Note", "inspect_data", "notes", "write_page"]
