"""Truth against masks: scores of a folder of predictions."""

from dhr.evaluate.run import STAGES, evaluate, evaluate_stages, stage_folder
from dhr.evaluate.scores import ClassScore, ImageScore, Scores

__all__ = ["STAGES", "ClassScore", "ImageScore", "Scores", "evaluate", "evaluate_stages", "stage_folder"]
