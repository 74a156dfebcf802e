"""Truth against masks: scores of folders of predictions."""

from dhr.evaluate.compare import Comparison, Difference
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.ground_truth_folder import GroundTruthFolder
from dhr.evaluate.run import STAGES, compare, evaluate, evaluate_stages, stage_folder, stage_folders
from dhr.evaluate.scores import ClassScore, ImageScore, Scores

__all__ = [
    "STAGES",
    "ClassScore",
    "Comparison",
    "Difference",
    "EvaluateConfig",
    "GroundTruthFolder",
    "ImageScore",
    "Scores",
    "compare",
    "evaluate",
    "evaluate_stages",
    "stage_folder",
    "stage_folders",
]
