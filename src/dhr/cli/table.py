"""The commands: each is a public function, and one function that prints its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Command:
    """A command; its modules are imported when it is called."""

    name: str
    line: str
    """Its line in the manual."""
    place: str
    """Module and name of the function."""
    printer: str
    """Module and name of the function that prints its result."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings that people change, which the short help shows in a few words."""
    examples: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    """Parameters whose values need no option."""
    ended: str = "the same command goes on where it stopped"
    """What is true after it was interrupted."""

    @property
    def function(self) -> Callable[..., Any]:
        """The function."""
        return _found(self.place)

    @property
    def show(self) -> Callable[..., Any]:
        """The function that prints its result."""
        return _found(self.printer)


def _found(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


_WORDS = {
    "competition": "voc-server: comp5 or comp6",
    "contact": "pixels between regions that touch",
    "datumaro_format": "datumaro: such as voc_segmentation, cityscapes",
    "groups": "super-classes: given, or uss (from features)",
    "holes": "yolo: keep or fill the holes of polygons",
    "image_prefix": "labelstudio: beginning of the photographs' paths",
    "images": "yolo, fiftyone, datumaro: link, copy, none",
    "instances": "one annotation per connected part",
    "min_area": "smallest part that is exported, in pixels",
    "pca": "channels that are kept, by PCA; 0: all",
    "bits": "bits per number: 8, or 16 if not given",
    "limit": "most disk space, such as 200GB",
    "region": "part of a class, or the whole class",
    "supers": "CSV with class,supercategory",
    "tau": "groups uss: cosine that joins classes",
    "allow_missing": "leave photographs without a mask out of all rows",
    "boundary.kind": "correction of the final mask along edges",
    "classifier.epochs": "passes over the photographs; 0: chosen",
    "classifier.file": "trained classifier.safetensors, used as it is",
    "device": "auto, cpu, cuda, cuda:1, mps",
    "engine": "ray: a cluster does the work, with rows",
    "image.grid_stride": "pixels per cell of the features",
    "image.long_side": "larger photographs are shrunk to it",
    "kind": "stego or cause",
    "recursion": "train a student on the masks, for better masks",
    "redo": "make this stage and all later ones again",
    "resamples": "resamplings for intervals; 0: none",
    "seed": "seed of all random numbers",
    "sources": "two or more kinds of maps, calibrated",
    "stages": "keep masks of all steps, and CAMs",
    "student.kind": "joint, or mask2former on finished masks",
    "student_training.batch": "photographs per step; 0: chosen",
    "student_training.crop": "side of the crops in pixels; 0: chosen",
    "student_training.devices": "processes, one per GPU",
    "student_training.lr": "learning rate of the encoder",
    "student_training.recursion": "it learns from its own maps, too",
    "student_training.steps": "steps of the optimiser; 0: chosen",
    "uss.block": "block or stage that gives the features",
    "uss.kind": "timm, stego, cause, hp, leopart, colour",
    "uss.model": "network of timm for USS features",
    "uss.scales": "sizes that are averaged",
    "uss.weights": "hub, none, or a file",
    "wss.backbone": "network that learns the tags, or finds names",
    "wss.kind": "classifier, irn, sam3 and others",
    "wss.weights": "hub, none, or a file",
}
"""Settings that people change, in a few words for the short help."""


def _words(*names: str) -> Mapping[str, str]:
    return {name: _WORDS[name] for name in names}


_RUN = _words(
    *("wss.kind", "wss.backbone", "wss.weights", "sources", "uss.model", "uss.weights", "classifier.file"),
    *("classifier.epochs",),
    *("image.long_side", "boundary.kind", "recursion", "stages", "device", "seed"),
)
_COMPARE = {  # rows choose their sources
    **_words("allow_missing", "resamples"),
    **{name: text for name, text in _RUN.items() if name != "sources"},
}
_TRAIN = _words(
    *("student.kind", "student_training.steps", "student_training.batch", "student_training.crop"),
    *("student_training.lr", "student_training.recursion", "student_training.devices", "classifier.file"),
    *("wss.backbone", "wss.weights", "uss.model", "device", "seed"),
)
_FEATURES = _words(
    *("pca", "bits", "limit", "uss.kind", "uss.model", "uss.weights", "uss.scales", "image.long_side"),
    *("image.grid_stride", "device"),
)
_HEAD = _words("kind", "uss.model", "uss.weights", "uss.block")
_EXPORT = _words("instances", "min_area", "images", "holes", "image_prefix", "competition", "datumaro_format")
_ADJACENCY = _words("supers", "groups", "tau", "contact", "region")
_MODELS = _words("wss.kind", "wss.backbone", "wss.weights", "uss.model", "uss.weights")

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "inspect",
            "describe a data set, and name its broken files",
            "dhr.api.inspect:inspect",
            "dhr.cli.show_data:inspect",
            examples=("dhr inspect --data photos --out page", "dhr inspect --data VOC2012 --split train"),
        ),
        Command(
            "manifest",
            "write a table of photographs, as a data set for many machines",
            "dhr.api.manifest:manifest",
            "dhr.cli.show_data:written",
            examples=(
                "dhr manifest --data photos --file photos.parquet",
                "dhr manifest --table shop.csv --id name --uri url --tags labels --file shop.parquet",
            ),
        ),
        Command(
            "plan",
            "tell what a run would use, and its time, memory and disk",
            "dhr.api.plan:plan",
            "dhr.cli.show_plan:plan",
            _RUN,
            ("dhr plan --data photos", "dhr plan --data photos --recipe small"),
        ),
        Command(
            "run",
            "make masks for a folder of photographs and tags",
            "dhr.api.run:run",
            "dhr.cli.show_run:run",
            {**_RUN, **_words("redo", "engine")},
            ("dhr run --data photos --out out", "dhr run --data photos --out out --preset paper --method.tau 0.7"),
        ),
        Command(
            "review",
            "review and mend the masks of a run in the browser",
            "dhr.api.review:review",
            "dhr.cli.show_review:review",
            examples=("dhr review --run out", "dhr review --run out --port 8800 --no-open-browser"),
            ended="all decisions are saved, and the same command opens the page again",
        ),
        Command(
            "update",
            "let a run learn from corrections, and make its other masks again",
            "dhr.api.update:update",
            "dhr.cli.show_run:run",
            examples=("dhr update --run out", "dhr update --run out --dry-run"),
        ),
        Command(
            "train",
            "train a student: a network that segments photographs without tags",
            "dhr.api.train:train",
            "dhr.cli.show_run:train",
            _TRAIN,
            ("dhr train --data photos --masks out/masks --out student",),
        ),
        Command(
            "predict",
            "segment photographs with a student",
            "dhr.api.predict:predict",
            "dhr.cli.show_run:predict",
            examples=("dhr predict --student student/student.safetensors --images new --out masks",),
        ),
        Command(
            "evaluate",
            "score masks against ground truth",
            "dhr.api.evaluate:evaluate",
            "dhr.cli.show_scores:evaluate",
            examples=(
                "dhr evaluate --data photos --masks out/masks",
                "dhr evaluate --data photos --masks mine theirs --csv scores.csv",
            ),
        ),
        Command(
            "compare",
            "compare sources and refinements on data with ground truth",
            "dhr.api.compare:compare",
            "dhr.cli.show_compare:compare",
            _COMPARE,
            (
                "dhr compare --data VOC2012 --split val --out out --rows 'CAM: step=cam' 'DHR:' 'paper: preset=paper'",
                "dhr compare --data VOCdevkit --split val --out out --rows configs/rivals/voc.yaml",
            ),
        ),
        Command(
            "export",
            "write masks for other tools: COCO, YOLO, CVAT, Label Studio, ...",
            "dhr.api.export:export",
            "dhr.cli.show_data:export",
            _EXPORT,
            examples=("dhr export --data photos --masks out/masks --to coco --file masks.json",),
        ),
        Command(
            "unpack",
            "write the masks of a run with rows as files",
            "dhr.api.unpack:unpack",
            "dhr.cli.show_data:written",
            examples=("dhr unpack --run out --out files",),
        ),
        Command(
            "import",
            "take masks that people mended in CVAT, Label Studio, QuPath, ...",
            "dhr.api.import_masks:import_masks",
            "dhr.cli.show_import:show",
            examples=("dhr import --run out --from cvat annotations.xml",),
            positional=("file",),
        ),
        Command(
            "adjacency",
            "measure which classes touch, and which disappear beside others",
            "dhr.api.adjacency:adjacency",
            "dhr.cli.show_adjacency:adjacency",
            _ADJACENCY,
            examples=("dhr adjacency --ground-truth VOC2012/SegmentationClass --masks out/masks",),
        ),
        Command(
            "features",
            "compute features once, for later runs",
            "dhr.api.features:features",
            "dhr.cli.show_data:features",
            _FEATURES,
            ("dhr features --data photos --features store --pca 64 --bits 8",),
        ),
        Command(
            "train-head",
            "train a head on unsupervised features, without labels",
            "dhr.api.train_head:train_head",
            "dhr.cli.show_run:train_head",
            _HEAD,
            ("dhr train-head --kind stego --data photos --out head",),
        ),
        Command(
            "onnx",
            "write a student for other runtimes",
            "dhr.api.onnx:onnx",
            "dhr.cli.show_data:text",
            examples=("dhr onnx --student student.safetensors --file student.onnx",),
        ),
        Command(
            "models",
            "list the models that masks can be made with",
            "dhr.api.models:models",
            "dhr.cli.show_data:models",
            _MODELS,
            ("dhr models", "dhr models --download --config my.yaml"),
        ),
        Command("settings", "explain settings", "dhr.api.explain:settings", "dhr.cli.help:show_settings",
                examples=("dhr settings classifier", "dhr settings method.tau"), positional=("name",)),
        Command("demo", "try everything on generated scenes", "dhr.api.demo:demo", "dhr.cli.show_scores:demo"),
        Command("completion", "print a script that completes commands and options in a shell",
                "dhr.cli.completion:completion", "dhr.cli.show_data:text", positional=("shell",),
                examples=("dhr completion bash > ~/.local/share/bash-completion/completions/dhr",)),
    )
}  # fmt: skip
"""By name, in the order of the manual."""
