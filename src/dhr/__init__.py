"""Image tags in, pixel masks out: weakly-supervised segmentation that keeps small classes beside big ones.

From photographs and tags to masks::

    result = dhr.run("photos", "out")
    result.masks["beach"]

The method alone, on your own arrays::

    result = dhr.rebalance(cams, uss_features, wss_features, images)
    result.mask

Soft masks along the edges of images (dense CRF, PAMR, random walk)::

    dhr.refine(images, scores)
"""

from typing import TYPE_CHECKING

from dhr.errors import DhrError
from dhr.lazy import imported_from

__version__ = "0.2.0"

__all__ = [
    "PRESETS",
    "Again",
    "BoundaryConfig",
    "DataFolder",
    "DhrError",
    "Engine",
    "MethodConfig",
    "PhotographTable",
    "Rebalanced",
    "RunConfig",
    "RunEngine",
    "adjacency",
    "compare",
    "demo",
    "evaluate",
    "export",
    "features",
    "import_masks",
    "inspect",
    "manifest",
    "models",
    "onnx",
    "open_data",
    "pad_classes",
    "plan",
    "predict",
    "rebalance",
    "refine",
    "review",
    "run",
    "settings",
    "train",
    "train_head",
    "unpack",
    "update",
]

_COMMANDS = (
    *(
        "adjacency",
        "compare",
        "demo",
        "evaluate",
        "export",
        "features",
        "import_masks",
        "inspect",
        "manifest",
        "models",
    ),
    *("onnx", "plan", "predict", "review", "run", "train", "train_head", "unpack", "update"),
)
_HOME = {
    **{name: f"dhr.api.{name}" for name in _COMMANDS},
    **dict.fromkeys(("DataFolder", "open_data"), "dhr.api.data"),
    "Again": "dhr.api.run",
    **dict.fromkeys(("Engine", "RunEngine"), "dhr.engine.config"),
    "settings": "dhr.api.explain",
    "PhotographTable": "dhr.data.manifest.from_table",
    "RunConfig": "dhr.job.settings",
    **dict.fromkeys(("pad_classes", "rebalance", "refine"), "dhr.arrays"),
    **dict.fromkeys(("PRESETS", "BoundaryConfig", "MethodConfig"), "dhr.method.config"),
    "Rebalanced": "dhr.types",
}

if TYPE_CHECKING:
    from dhr.api.adjacency import adjacency
    from dhr.api.compare import compare
    from dhr.api.data import DataFolder, open_data
    from dhr.api.demo import demo
    from dhr.api.evaluate import evaluate
    from dhr.api.explain import settings
    from dhr.api.export import export
    from dhr.api.features import features
    from dhr.api.import_masks import import_masks
    from dhr.api.inspect import inspect
    from dhr.api.manifest import manifest
    from dhr.api.models import models
    from dhr.api.onnx import onnx
    from dhr.api.plan import plan
    from dhr.api.predict import predict
    from dhr.api.review import review
    from dhr.api.run import Again, run
    from dhr.api.train import train
    from dhr.api.train_head import train_head
    from dhr.api.unpack import unpack
    from dhr.api.update import update
    from dhr.arrays import pad_classes, rebalance, refine
    from dhr.data.manifest.from_table import PhotographTable
    from dhr.engine.config import Engine, RunEngine
    from dhr.job.settings import RunConfig
    from dhr.method.config import PRESETS, BoundaryConfig, MethodConfig
    from dhr.types import Rebalanced
else:  # PyTorch takes longer to load than some commands take to run
    __getattr__ = imported_from(__name__, _HOME)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
