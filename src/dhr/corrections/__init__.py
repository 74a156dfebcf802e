"""Corrections: a person's decisions on the masks of a run, with the masks that the person made or accepted."""

from dhr.corrections.store import Corrections
from dhr.corrections.validity import in_classes, tags_in, valid
from dhr.errors import ConflictError
from dhr.records.correction import Correction, State

__all__ = ["ConflictError", "Correction", "Corrections", "State", "in_classes", "tags_in", "valid"]
