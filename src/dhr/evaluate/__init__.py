"""Truth against masks: scores of folders of predictions."""

from dhr.evaluate.compare import Comparison, Difference
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.run import STAGES, compare, evaluate, evaluate_stages, stage_folder, stage_folders
from dhr.evaluate.scores import ClassScore, ImageScore, Scores
from dhr.evaluate.truth_folder import TruthFolder

__all__ = [
    "STAGES",
    "ClassScore",
    "Comparison",
    "Difference",
    "EvaluateConfig",
    "ImageScore",
    "Scores",
    "TruthFolder",
    "compare",
    "evaluate",
    "evaluate_stages",
    "stage_folder",
    "stage_folders",
]
