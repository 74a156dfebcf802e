"""Classes that touch, and classes that vanish beside others: ``dhr.adjacency``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dhr.api.data import Data, opened, split_of
from dhr.api.results import AdjacencyResult
from dhr.api.settings import part_settings
from dhr.data.classes import with_supers
from dhr.data.samples import ClassTable, DataSet, Problem
from dhr.errors import ConfigError
from dhr.files import check_output, write_json_output
from dhr.models.config import UssConfig
from dhr.progress import Progress, silent

if TYPE_CHECKING:
    from dhr.evaluate.adjacency import Adjacency


@dataclass(frozen=True)
class AdjacencyConfig:
    """The origin of super-classes, and the definition of touching."""

    supers: Path | None = None
    """CSV with the columns class,supercategory; else the supercategories.csv of the data set, or VOC's four."""
    groups: Literal["given", "uss"] = "given"
    """Super-classes: `given`, or `uss` (found in unsupervised features of the photographs)."""
    tau: float = 0.8
    """Cosine above which `groups uss` joins two classes."""
    centring: float = 0.5
    """For `groups uss`, as `method.centring` of `dhr run`."""
    long_side: int = 640
    """Pixels of the photographs for `groups uss`."""
    contact: float = 5.0
    """Pixels between regions that touch."""
    region: Literal["part", "class"] = "part"
    """A region is a connected `part` of a class, or the whole `class` of a mask."""
    uss: UssConfig = field(default_factory=UssConfig)

    def __post_init__(self) -> None:
        if not -1 <= self.tau <= 1 or not 0 <= self.centring < 1 or self.long_side < 32:
            raise ConfigError(
                f"tau is a cosine, centring 0 to below 1, long_side 32 or more; got {self.tau}, {self.centring}, "
                f"{self.long_side}"
            )


def adjacency(
    data: Data | None = None,
    *,
    ground_truth: Path | str | None = None,
    masks: Path | str | None = None,
    json: Path | str | None = None,
    picture: Path | str | None = None,
    config: AdjacencyConfig | str | Path | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> AdjacencyResult:
    """Measure how much of the foreground touches another class, and how much of that is between super-classes.

    This is Figure 2 of the paper. Give --data, --ground-truth or both. With --masks it also shows which classes vanish
    from masks, beside which others. docs/adjacency.md defines touching.

    Args:
        data: a data folder: its classes, and its ground truth if --ground-truth is not given.
        ground_truth: folder of masks, NAME.png (255 = void); classes from classes.txt in or beside it, or VOC's.
        masks: masks of any method, to see which classes vanish from them.
        json: a file that gets all figures.
        picture: a PNG that gets the matrix of class pairs.
        config: super-classes, and the definition of touching.
        progress: called after each mask.

    Returns:
        The shares, and the pairs of classes that touch.

    Raises:
        ConfigError: arguments that do not fit together.
        DataError: there are no masks.
    """
    settings = part_settings(AdjacencyConfig, config)
    _check(data, ground_truth, settings)
    for file in (json, picture):
        if file is not None:
            check_output(Path(file))
    folder, predictions = (None if one is None else Path(one) for one in (ground_truth, masks))
    found, notes = _measured(data, folder, predictions, settings, progress or silent)
    if json is not None:
        write_json_output(Path(json), found.to_json())
    if picture is not None:
        from dhr.report.adjacency_picture import draw_adjacency

        draw_adjacency(found, Path(picture))
    return AdjacencyResult(found, found.problems, notes)


def _measured(
    data: Data | None,
    folder: Path | None,
    predictions: Path | None,
    settings: AdjacencyConfig,
    progress: Progress,
) -> tuple["Adjacency", tuple[str, ...]]:
    """Return the figures, and the notes of the reader of the data set.

    Args:
        data: the photographs.
        folder: ground truth in place of theirs; needed without ``data``.
        predictions: masks of a method.
        settings: super-classes, and the definition of touching.
        progress: called after each mask.
    """
    from dhr.evaluate.adjacency import measure_adjacency
    from dhr.evaluate.masks import classes_of, masks_in, masks_of

    unread = tuple[Problem, ...]()
    if settings.groups == "uss" and data is not None:
        from dhr.api.weights import require_first
        from dhr.models.remote import uss_remote

        require_first([uss_remote(settings.uss)], data)
    photographs = None if data is None else opened(data, progress)
    if photographs is not None:
        classes = photographs.classes
    else:
        assert folder is not None  # see _check
        classes = classes_of(folder)
    if settings.supers is not None:
        classes = with_supers(classes, settings.supers)
    if settings.groups == "uss" and photographs is not None:
        classes, unread = _supers(photographs, settings, progress)
    if folder is not None:
        listed = masks_in(folder, classes, photographs)
        if photographs is not None and data is not None and split_of(data) is not None:
            names = {sample.name for sample in photographs.samples}
            listed = tuple(mask for mask in listed if mask.name in names)
    else:
        assert photographs is not None  # see _check
        listed = masks_of(photographs)
    found = measure_adjacency(
        listed,
        classes,
        contact=settings.contact,
        whole_classes=settings.region == "class",
        predictions=predictions,
        progress=progress,
    )
    known = {problem.source for problem in found.problems}
    first = () if photographs is None else tuple(photographs.problems)
    problems = (*first, *(one for one in unread if one.source not in known), *found.problems)
    notes = () if photographs is None else tuple(photographs.notes)
    return replace(found, problems=problems), notes


def _check(data: Data | None, ground_truth: Path | str | None, settings: AdjacencyConfig) -> None:
    if ground_truth is None and data is None:
        raise ConfigError("give --ground-truth DIR, a folder of masks, or --data DIR, a data set with ground truth")
    if settings.groups == "uss" and (data is None or settings.supers is not None):
        raise ConfigError("--groups uss reads the photographs of --data, and takes no --supers; give --data DIR alone")


def _supers(data: DataSet, settings: AdjacencyConfig, progress: Progress) -> tuple[ClassTable, tuple[Problem, ...]]:
    """Find super-classes in unsupervised features; return them and the photographs that cannot be read."""
    import torch

    from dhr.evaluate.groups import uss_supers
    from dhr.models.uss import build_uss

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = build_uss(settings.uss)
    if isinstance(model, torch.nn.Module):
        model.to(device).eval()
    return uss_supers(
        data,
        model,
        tau=settings.tau,
        centring=settings.centring,
        long_side=settings.long_side,
        device=device,
        progress=progress,
    )
