"""Truth against masks: scores of folders of predictions."""

from typing import TYPE_CHECKING

from dhr.lazy import imported_from

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

if TYPE_CHECKING:
    from dhr.evaluate.compare import Comparison, Difference
    from dhr.evaluate.config import EvaluateConfig
    from dhr.evaluate.run import STAGES, compare, evaluate, evaluate_stages, stage_folder, stage_folders
    from dhr.evaluate.scores import ClassScore, ImageScore, Scores
    from dhr.evaluate.truth_folder import TruthFolder
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
            "TruthFolder": "dhr.evaluate.truth_folder",
        },
    )
