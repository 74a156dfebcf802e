"""Command line and YAML, built from the typed signatures of the settings."""

import argparse
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace, set_parsing_settings

import dhr
from dhr.data.open import AUTO, READERS
from dhr.errors import ConfigError
from dhr.method.config import PRESETS
from dhr.models.student import Mask2FormerConfig
from dhr.models.weights import HUB, NONE
from dhr.pipeline.settings import RunConfig

_MAIN = """
    Photographs and the names of what is in them in, a segmentation mask for each out (DHR, ECCV 2024).

      dhr run       make masks for a folder of photographs and tags
      dhr train     teach a student by masks: a network that segments photographs without tags
      dhr predict   segment photographs with a student
      dhr onnx      write a student for other runtimes
      dhr evaluate  score masks against truth, and add the scores to the run's report
      dhr export    hand masks to other tools: COCO, YOLO, CVAT, Label Studio, test servers, ...
      dhr adjacency  which classes touch, and which vanish in whose company
      dhr demo      the whole way on generated scenes, without any download

    dhr COMMAND --help tells the rest.
"""

_RUN = """
    Make a segmentation mask for each photograph of a folder, from the names of what is in it.

    The data folder:
      images/       photographs (png, jpg, webp, bmp, tif, gif); sub-folders are allowed
      tags.csv      a header `image,tags`, then a line a photograph: `beach.jpg,sea;sand;dog`
      classes.txt   the class names, one a line. If the first is `background`, whatever carries no
                    tag is background; otherwise every pixel belongs to one of the photograph's tags
      splits/NAME.txt   optional lists of photographs, chosen with --split
    or a data set as it was published or exported: PASCAL VOC, COCO, ADE20K, PASCAL-Context, COCO-Stuff,
    CVAT, Label Studio, Hugging Face, one folder a class (recognised, or named with --format).

    What happens: every photograph is read once; a classifier learns the tags; its class activation
    maps, unsupervised features and the classifier's own features are rebalanced into a mask
    (Steps 1 to 3 of the paper, then the boundary).

    The output folder:
      masks/        a PNG for each photograph, of its size; pixel values are line numbers of
                    classes.txt, from 0
      report.html   pictures of every step, the least certain masks first
      run.json      settings, versions, seconds and memory, and every photograph that was left out,
                    with the reason
      stages/ cams/ the masks of the steps in between, and the activation maps
      classifier.safetensors   the trained classifier, which --classifier takes in another run
      affinity.safetensors     with --wss.kind irn: the heads that find where classes end

    Interrupted, the same command goes on where it stopped, and ends with the same masks.
"""

_RUN_END = """
examples:
  dhr run --data photos --out out
  dhr run --data photos --out out --preset paper --method.tau 0.7 --boundary.kind none
  dhr run --data photos --out out --wss.backbone resnet18 --wss.weights resnet18.safetensors

exit codes: 0 all done; 1 done, but photographs were left out; 2 nothing done, one line says why;
130 interrupted.

Settings can stand in a YAML file (--config), with the same names; what the command line says goes
before what the file says. Weights and classifier named in a YAML file are looked for from its
folder.
"""

_TRAIN = """
    Train a student on photographs, their tags, and masks of any method: a network that segments
    photographs without tags. While it learns, its own maps are rebalanced in every step and teach
    its decoder (recursion, Section 3.3 of the paper; --joint.recursion false for the masks alone).

    --student.kind mask2former trains a Mask2Former on finished masks instead, as a second stage: no
    tags are learnt, no recursion; pixels that are void in the masks teach nothing. It needs
    transformers (pip install 'dhr[mask2former]') and settings of training that suit transformers:
    configs/paper/*_swin_mask2former.yaml. Its losses draw points at random, so they differ a little
    with the number of processes.

    The data folder is that of `dhr run`; --masks is a folder of NAME.png with class ids, such as
    OUT/masks of a run (255 = void). Without --masks the student's own maps are all it learns from.

    The output folder:
      student.safetensors   what `dhr predict` and `dhr onnx` take
      training/             log.csv, TensorBoard's events, checkpoints, pictures of the masks
      classifier.safetensors   the classifier that it begins as (--classifier takes another one's)

    Interrupted, the same command goes on from the last checkpoint, and ends with the same weights.
    Several processes: --joint.devices N on one machine, or torchrun, or SLURM. `dhr run --recursion
    true` does all at once: masks, a student, and better masks from its maps.
"""

_PREDICT = """
    Segment every photograph of a folder with a student, without tags.

    The output folder gets masks/NAME.png, overview.png (photographs beside their masks) and run.json.
    Given --tags (a tags.csv), photographs get no other classes than their tags.
    Interrupted, the same command goes on where it stopped.
"""

_ONNX = """
    Write a student as an ONNX file: `images` (batch, 3, height, width), RGB in 0..1, to `probabilities`
    of all classes. The file is written if onnxruntime agrees with PyTorch on it.
"""

_EVALUATE = """
    Score folders of masks against a data set's truth masks (truth/NAME.png, 255 = void).

    Prints mIoU (mean over the classes of intersection over union, from one confusion matrix),
    minor-class IoU (mean over the photographs' classes that cover under 10 % of the labelled
    pixels), pixel accuracy, mean false positive and false negative rates, the F-score of edges, and
    the share of tagged classes that vanished; each class's own; and 95 % intervals of all.
    Several folders are compared on the same photographs with the first of them: the differences,
    how sure they are, and the photographs that differ most. Where the one folder belongs to a run,
    all its stages are scored, and its report.html gets truth, scores and charts, worst first.

    Missing masks, masks of no photograph and masks of another size than the truth are errors, unless
    allowed; then they are left out, and counted.
"""

_EVALUATE_END = """
examples:
  dhr evaluate --data photos --pred out/masks
  dhr evaluate --data photos --pred mine theirs --json scores.json --csv scores.csv --plots plots

exit codes: 0 all photographs with truth scored; 1 some were left out, as allowed; 2 nothing scored,
one line says why.
"""

_EXPORT = """
    Write masks as other tools read them. --to is one of

      png           OUT/NAME.png, indexed, with the classes' colours
      coco          OUT: one JSON file, masks as run lengths (holes are kept)
      yolo          OUT/data.yaml and what belongs to it: polygons, for Ultralytics
      labelstudio   OUT/config.xml for the labelling interface, OUT/tasks-*.json: predictions to correct
      cvat          OUT/labels.json for the task, OUT/annotations.xml (CVAT for images 1.1)
      datumaro      OUT: any format that datumaro writes, named with --datumaro_format
      voc-server    OUT: the .tgz for the test server of PASCAL VOC 2012
      ade-server    OUT: the .zip for the test server of ADE20K

    Background and void (255) are not annotated. Masks that are missing, damaged or of another size than
    their photograph are named and left out. png and yolo go on where they were interrupted.
    docs/export.md tells how each is imported, and what it cannot hold.
"""

_ADJACENCY = """
    Measure which share of the foreground touches another class, and which share of that is between
    super-classes (Figure 2 of the paper); with --pred, which classes vanish from masks in whose company.

    --truth is a folder of masks, NAME.png (class ids, 255 = void). Its classes are those of a
    classes.txt in or beside it, or PASCAL VOC's if its masks look so; or those of --data, a data
    folder as of `dhr run`, whose own truth is measured without --truth.

    Super-classes: --supers FILE, a CSV of class,supercategory; else the supercategories.csv of the
    data set, or VOC's four; or --groups uss, read off unsupervised features of --data.
    docs/adjacency.md says what counts as touching.

    Exit code 1: done, but some masks were left out.
"""

_DEMO = """
    Run the whole way on generated scenes: draw them, train a small classifier on their tags from
    nothing, make masks with the default settings and with the paper's own, score every stage, write
    a report. Needs no network and no data.
"""


def parse(arguments: list[str]) -> Callable[[], int]:
    """The command that ``arguments`` ask for, ready to be called.

    Help and errors of usage end the process, as argparse does.

    Raises:
        ConfigError: settings that cannot work together.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    preset, file, settings = "default", None, dict[str, Any]()
    if arguments[:1] in (["run"], ["train"]):
        arguments, preset, file, settings = _early(arguments)
    parser = ArgumentParser(prog="dhr", description=textwrap.dedent(_MAIN).strip(), formatter_class=_Formatter)
    parser.add_argument("--version", action="version", version=f"dhr {dhr.__version__}")
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    commands.add_subcommand("run", _run_parser(preset), help="make masks")
    commands.add_subcommand("train", _train_parser(preset), help="train a student on masks")
    commands.add_subcommand("predict", _predict_parser(), help="segment photographs with a student")
    commands.add_subcommand("onnx", _onnx_parser(), help="write a student as ONNX")
    commands.add_subcommand("evaluate", _evaluate_parser(), help="score masks")
    commands.add_subcommand("export", _export_parser(), help="hand masks to other tools")
    commands.add_subcommand("adjacency", _adjacency_parser(), help="which classes touch")
    commands.add_subcommand("demo", _demo_parser(), help="try it on generated scenes")
    chosen = parser.parse_args(arguments)
    part: Namespace = chosen[chosen.command]
    if chosen.command in ("run", "train"):
        made = (_run_parser if chosen.command == "run" else _train_parser)(preset).instantiate(part)
        config = RunConfig(**{field.name: made[field.name] for field in fields(RunConfig)})
        config = _with_paths(config, file, settings)
        if chosen.command == "train":
            from dhr.cli.student import train

            return partial(train, part.data, part.masks, part.out, part.split, config, layout=part.format)
        from dhr.cli.run import run

        return partial(run, part.data, part.out, part.split, config, preset, layout=part.format)
    if chosen.command == "predict":
        from dhr.cli.student import predict
        from dhr.pipeline.predict import PredictConfig

        seen = _predict_parser().instantiate(part)
        look = PredictConfig(**{field.name: seen[field.name] for field in fields(PredictConfig)})
        return partial(predict, part.student, part.images, part.out, part.tags, look)
    if chosen.command == "onnx":
        from dhr.cli.student import onnx

        return partial(onnx, part.student, part.out, part.height, part.width)
    if chosen.command == "evaluate":
        from dhr.cli.evaluate import Outputs, evaluate
        from dhr.evaluate import EvaluateConfig

        strict = EvaluateConfig(**{field.name: part[field.name] for field in fields(EvaluateConfig)})
        outputs = Outputs(part.json, part.csv, part.plots)
        return partial(evaluate, part.data, part.split, part.pred, strict, outputs, layout=part.format)
    if chosen.command == "export":
        from dhr.cli.export import export
        from dhr.export import ExportConfig

        made = _export_parser().instantiate(part)
        choices = ExportConfig(**{field.name: made[field.name] for field in fields(ExportConfig)})
        return partial(export, part.data, part.pred, part.to, part.out, part.split, choices, layout=part.format)
    if chosen.command == "adjacency":
        return _adjacency(part)
    from dhr.cli.demo import demo

    return partial(demo, part.out, part.scenes, part.seed)


def _run_parser(preset: str) -> ArgumentParser:
    return _with_settings(_parser(_RUN, "dhr run --data DIR --out DIR [--config FILE] [settings]", _RUN_END), preset)


def _train_parser(preset: str) -> ArgumentParser:
    parser = _parser(_TRAIN, "dhr train --data DIR --out DIR [--masks DIR] [--config FILE] [settings]")
    parser.add_argument("--masks", type=Path | None, help="masks to begin with, NAME.png")
    return _with_settings(parser, preset)


def _predict_parser() -> ArgumentParser:
    from dhr.pipeline.predict import PredictConfig

    parser = _parser(_PREDICT, "dhr predict --student FILE --images DIR --out DIR [--tags FILE] [settings]")
    parser.add_argument("--student", type=Path, required=True, help="student.safetensors of `dhr train` or `dhr run`")
    parser.add_argument("--images", type=Path, required=True, help="the folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="the output folder: new, empty, or of the same call")
    parser.add_argument("--tags", type=Path | None, help="a tags.csv, to allow no other classes than these")
    parser.add_class_arguments(PredictConfig, None)
    return parser


def _onnx_parser() -> ArgumentParser:
    parser = _parser(_ONNX, "dhr onnx --student FILE --out FILE [--height N] [--width N]")
    parser.add_argument("--student", type=Path, required=True, help="student.safetensors of `dhr train` or `dhr run`")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--height", type=int, default=320, help="pixels of the images")
    parser.add_argument("--width", type=int, default=320, help="pixels of the images")
    return parser


def _with_settings(parser: ArgumentParser, preset: str) -> ArgumentParser:
    parser.add_argument("--config", action="config", help="YAML file of settings")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="the output folder: new, empty, or of the same run")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    _add_format(parser)
    parser.add_argument(
        "--preset", type=str, default=preset, help=f"settings of the method to start from: {', '.join(PRESETS)}"
    )
    parser.add_class_arguments(RunConfig, None)
    parser.set_defaults({f"method.{name}": value for name, value in asdict(PRESETS[preset]).items()})
    return parser


def _add_format(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        type=str,
        default=AUTO,
        help=f"layout of the data folder: {AUTO}, {', '.join(READERS)} (docs/data.md)",
    )


def _evaluate_parser() -> ArgumentParser:
    parser = _parser(_EVALUATE, "dhr evaluate --data DIR --pred DIR [DIR ...] [--split NAME] [options]", _EVALUATE_END)
    parser.add_argument("--data", type=Path, required=True, help="the data folder, with truth/")
    parser.add_argument("--pred", type=Path, nargs="+", required=True, help="folders of masks, such as OUT/masks")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    _add_format(parser)
    parser.add_argument("--json", type=Path | None, help="also write all scores to this file")
    parser.add_argument("--csv", type=Path | None, help="also write a line for each folder and class to this file")
    parser.add_argument("--plots", type=Path | None, help="also draw the scores into this folder (needs dhr[plots])")
    parser.add_argument("--allow_missing", action="store_true", help="leave out photographs without a mask, say which")
    parser.add_argument(
        "--allow_wrong_size", action="store_true", help="leave out photographs whose mask has another size, say which"
    )
    parser.add_argument("--allow_extra", action="store_true", help="pass over masks of no photograph, say which")
    parser.add_argument(
        "--resamples", type=int, default=1000, help="resamplings of photographs for 95 %% intervals; 0 for none"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resamplings")
    parser.add_argument("--workers", type=int | None, help="threads; the scores do not depend on it")
    return parser


def _export_parser() -> ArgumentParser:
    from dhr.export import FORMATS, ExportConfig

    parser = _parser(_EXPORT, "dhr export --data DIR --pred DIR --to FORMAT --out PATH [--split NAME] [settings]")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--pred", type=Path, required=True, help="the folder of masks, such as OUT/masks")
    parser.add_argument("--to", type=str, required=True, help=f"the format: {', '.join(FORMATS)}")
    parser.add_argument("--out", type=Path, required=True, help="the file or folder to write")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    _add_format(parser)
    parser.add_class_arguments(ExportConfig, None)
    return parser


def _adjacency_parser() -> ArgumentParser:
    from dhr.models.uss import UssConfig

    parser = _parser(_ADJACENCY, "dhr adjacency --truth DIR [--data DIR] [--pred DIR] [--json FILE] [--picture FILE]")
    parser.add_argument("--truth", type=Path | None, help="a folder of masks")
    parser.add_argument("--data", type=Path | None, help="a data folder: its classes, and its truth without --truth")
    parser.add_argument("--split", type=str | None, help="only the photographs of this split")
    _add_format(parser)
    parser.add_argument("--pred", type=Path | None, help="masks of any method, to see which classes vanish from them")
    parser.add_argument("--supers", type=Path | None, help="CSV with columns class,supercategory")
    parser.add_argument("--groups", type=str, default="given", help="super-classes: given, or uss (from features)")
    parser.add_argument("--tau", type=float, default=0.8, help="cosine above which --groups uss joins two classes")
    parser.add_argument("--centring", type=float, default=0.5, help="of --groups uss, as method.centring of `dhr run`")
    parser.add_argument("--long_side", type=int, default=640, help="pixels of the photographs for --groups uss")
    parser.add_argument("--contact", type=float, default=5.0, help="pixels between regions that touch")
    parser.add_argument("--region", type=str, default="part", help="connected part of a class, or the whole class")
    parser.add_argument("--json", type=Path | None, help="also write all figures to this file")
    parser.add_argument("--picture", type=Path | None, help="also draw the matrix of class pairs, a PNG")
    parser.add_class_arguments(UssConfig, "uss")
    return parser


def _adjacency(part: Namespace) -> Callable[[], int]:
    from dhr.cli.adjacency import adjacency

    made = _adjacency_parser().instantiate(part)
    names = (
        *("truth", "data", "split", "pred", "supers", "groups", "tau", "centring", "long_side", "uss"),
        *("contact", "region", "json", "picture"),
    )
    return partial(adjacency, **{name: made[name] for name in names}, layout=made["format"])


def _demo_parser() -> ArgumentParser:
    parser = _parser(_DEMO, "dhr demo [--out DIR] [--scenes N] [--seed N]")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="the output folder")
    parser.add_argument("--scenes", type=int, default=240, help="number of scenes")
    parser.add_argument("--seed", type=int, default=0, help="seed of scenes, training and everything else")
    return parser


def _parser(description: str, usage: str, end: str = "") -> ArgumentParser:
    return ArgumentParser(
        usage=usage,
        description=textwrap.dedent(description).strip(),
        epilog=end.strip() or None,
        formatter_class=_Formatter,
    )


class _Formatter(DefaultHelpFormatter):
    """Help whose description and examples keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())


def _early(arguments: Sequence[str]) -> tuple[list[str], str, Path | None, dict[str, Any]]:
    """Arguments with the YAML file first, so that the others win; preset, YAML file, and its settings.

    Raises:
        ConfigError: there is no such preset, or the file is no YAML of settings.
    """
    early = argparse.ArgumentParser(prog=f"dhr {arguments[0]}", add_help=False, allow_abbrev=False)
    early.add_argument("--config", type=Path, action="append", default=[])
    files, others = early.parse_known_args(arguments)
    early.add_argument("--preset")
    known, _ = early.parse_known_args(others)
    if len(files.config) > 1:
        raise ConfigError(f"--config can be given once, got {len(files.config)} files; join them")
    file: Path | None = next(iter(files.config), None)
    settings = {} if file is None else _read_settings(file)
    preset = known.preset or settings.get("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ConfigError(f"--preset must be one of {', '.join(PRESETS)}; got {preset!r}")
    if file is not None:
        others = [others[0], "--config", str(file), *others[1:]]
    return others, preset, file, settings


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"--config: cannot read {file} ({error.strerror}); name a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config: {file} is no YAML ({error})") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"--config: {file} must hold settings, `name: value`; see configs/ for examples")
    for group in (field.name for field in fields(RunConfig) if is_dataclass(field.default_factory)):
        if not isinstance(settings.get(group, {}), dict):
            raise ConfigError(f"--config: {file}: {group} must hold settings, `name: value`; got {settings[group]!r}")
    return settings


def _with_paths(config: RunConfig, file: Path | None, settings: Mapping[str, Any]) -> RunConfig:
    """Files that the YAML file names are meant from its folder; those of the command line from where it is called."""
    if file is None:
        return config

    def found(value: str, part: str) -> str:
        named = settings.get(part, {}).get("weights", settings.get(f"{part}.weights"))
        if value in (HUB, NONE) or named != value:
            return value
        return str(file.parent / value)

    classifier = config.classifier
    if classifier is not None and settings.get("classifier") == str(classifier):
        classifier = file.parent / classifier
    return replace(
        config,
        wss=replace(config.wss, weights=found(config.wss.weights, "wss")),
        uss=replace(config.uss, weights=found(config.uss.weights, "uss")),
        mask2former=_beside(config.mask2former, file, settings.get("mask2former", {}), found),
        classifier=classifier,
    )


def _beside(
    config: Mask2FormerConfig, file: Path, settings: Mapping[str, Any], found: Callable[[str, str], str]
) -> Mask2FormerConfig:
    """A folder that the YAML file names by `model` lies beside it, if there is one; else it is a name of the hub."""
    model = config.model
    if settings.get("model") == model and (file.parent / model).is_dir():
        model = str(file.parent / model)
    return replace(config, model=model, weights=found(config.weights, "mask2former"))
