"""Scores of folders of masks against ground truth."""

from typing import TYPE_CHECKING

from dhr.lazy import imported_from

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

if TYPE_CHECKING:
    from dhr.evaluate.compare import Comparison, Difference
    from dhr.evaluate.config import EvaluateConfig
    from dhr.evaluate.ground_truth_folder import GroundTruthFolder
    from dhr.evaluate.run import STAGES, compare, evaluate, evaluate_stages, stage_folder, stage_folders
    from dhr.evaluate.scores import ClassScore, ImageScore, Scores
else:  # options are checked before numba is imported
    __getattr__ = imported_from(
        __name__,
        {
            **dict.fromkeys(("Comparison", "Difference"), "dhr.evaluate.compare"),
            "EvaluateConfig": "dhr.evaluate.config",
            **dict.fromkeys(
                ("STAGES", "compare", "evaluate", "evaluate_stages", "stage_folder", "stage_folders"),
                "dhr.evaluate.run",
            ),
            **dict.fromkeys(("ClassScore", "ImageScore", "Scores"), "dhr.evaluate.scores"),
            "GroundTruthFolder": "dhr.evaluate.ground_truth_folder",
        },
    )
