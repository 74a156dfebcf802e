"""The protocol of map sources, and the records that pass through it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from dhr.data.image_config import ImageConfig
from dhr.data.samples import ClassTable, DataSet, Problem, Sample
from dhr.errors import ConfigError
from dhr.files import inside
from dhr.models.config import WssConfig
from dhr.models.precision import Precision
from dhr.models.remote import Remote
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress
from dhr.train.config import AffinityConfig, ClassifierConfig


@runtime_checkable
class SourceSettings(Protocol):
    """The settings that sources read; those of a run have them all."""

    @property
    def wss(self) -> WssConfig:
        """Kind and settings of the source."""

    @property
    def parts(self) -> "tuple[SourceSettings, ...]":
        """The settings of each source, if several make the maps together; else these alone."""

    @property
    def image(self) -> ImageConfig:
        """Size of the working image and of the grid."""

    @property
    def classifier(self) -> ClassifierConfig:
        """Training of the classifier, or its file."""

    @property
    def affinity(self) -> AffinityConfig:
        """Training of the heads of `irn`."""

    @property
    def precision(self) -> Precision:
        """Precision of the networks."""

    @property
    def seed(self) -> int:
        """Seed of all randomness."""


@dataclass(frozen=True)
class Given:
    """The arguments of a source."""

    settings: SourceSettings
    classes: ClassTable
    device: torch.device
    folder: Path | None = None
    """Output folder of the run, which holds the files of finished fittings."""

    @property
    def names(self) -> list[str]:
        """Names of the classes that can be tagged."""
        return [self.classes.names[index] for index in self.classes.foreground]


@dataclass(frozen=True)
class Seen:
    """Maps of a batch of photographs."""

    cams: Float[Tensor, "b k u v"]
    """One map per tag, in the order of each photograph's tags, on the grid; then 0, up to the largest number of tags.
    Values above 0 are evidence for the class. A map without such values holds the values before the ReLU, so that
    places can still be compared."""
    features: Float[Tensor, "b d u v"] | None = None
    """WSS features on the grid; None if USS features serve as both."""
    edges: Float[Tensor, "b 1 p q"] | None = None
    """Probability, 0..1, of a class boundary, on a grid of its own; None without class boundaries."""
    probabilities: Float[Tensor, "b _ p q"] | None = None
    """Of a student, or of several sources: the probability of each class in each cell, the background first where there
    is one; then 0 as in ``cams``."""

    @staticmethod
    def together(parts: Sequence["Seen"]) -> "Seen":
        """Join the maps of several photographs, padded to the largest number of tags."""
        found: dict[str, Tensor | None] = {}
        for one in fields(Seen):
            maps = [value for part in parts if (value := getattr(part, one.name)) is not None]
            most = max((value.shape[1] for value in maps), default=0)
            padded = [pad(value, (0, 0, 0, 0, 0, most - value.shape[1])) for value in maps]
            found[one.name] = torch.cat(padded) if padded else None
        return Seen(**found)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Checked:
    """The photographs for which a source can make maps."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    """Photographs that were left out, and why."""
    notes: tuple[str, ...] = ()
    """Facts on the files, one sentence each."""


@runtime_checkable
class Fitting(Protocol):
    """A training that must be finished before a source can make maps."""

    @property
    def name(self) -> str:
        """The stage's name; its checkpoint is `work/NAME.checkpoint`."""

    @property
    def file(self) -> str:
        """Name of the file in the output folder that holds the result."""

    @property
    def for_student(self) -> bool:
        """Whether :meth:`MapSource.begin_student` uses the result."""

    def chosen(self, photographs: int) -> Mapping[str, int]:
        """Return the values of settings that are chosen for this number of photographs."""

    def fit(self, data: DataSet, samples: Sequence[Sample], checkpoint: Path, progress: Progress) -> None:
        """Train on ``samples``; if ``checkpoint`` exists, continue from it and end with the same weights.

        Raises:
            ConfigError: the loss became NaN or infinite.
            OutputError: ``checkpoint`` is damaged, or cannot be written.
            ItemError: a photograph cannot be read.
        """

    def save(self, path: Path) -> None:
        """Write the result."""

    def load(self, path: Path) -> None:
        """Read a result that :meth:`save` wrote.

        Raises:
            WeightsError: the file is damaged, or belongs to other settings or classes.
        """


@runtime_checkable
class MapSource(Protocol):
    """Makes CAMs: shows where in a photograph its tagged classes are.

    A source derives from this class. Most define :meth:`see` only; the other methods are for trainings and files.
    """

    given: Given
    fittings: tuple[Fitting, ...] = ()
    """Trainings that must be finished before :meth:`see`, in order."""
    reads_files: bool = False
    """Whether its maps are files, which :meth:`check` reads; other settings may be needed after that."""
    takes_classifier: bool = False
    """Whether it uses the file `classifier.file`."""

    def __init__(self, given: Given) -> None:
        self.given = given

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """Name the weights that it takes from a hub; None if it takes nothing from there."""
        return None

    @classmethod
    def further_remotes(cls, settings: SourceSettings) -> tuple[Remote | None, ...]:
        """Name weights of other networks that it takes from a hub."""
        return ()

    @classmethod
    def trainings(cls, settings: SourceSettings) -> tuple[str, ...]:
        """Name its fittings, in their order, before it is built."""
        return ()

    @property
    def tags_apart(self) -> bool:
        """Whether the map of a class is the same beside any other tags, and maps of further classes cost little."""
        return False

    def check(self, samples: Sequence[Sample], sizes: Mapping[str, tuple[int, int]], progress: Progress) -> Checked:
        """Read all of its files once, before any mask is made.

        Args:
            samples: all photographs.
            sizes: height and width of each, by name.
            progress: called after each photograph.

        Raises:
            ConfigError: the files do not fit the settings.
            DataError: all photographs are left out.
        """
        return Checked(tuple(samples))

    @abstractmethod
    def see(self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample], grid: tuple[int, int]) -> Seen:
        """Make the maps of the tags of a batch of photographs.

        Args:
            images: their working images on the device, RGB in 0..1.
            samples: the name and the tags of each, one or more.
            grid: rows and columns of the maps.

        Raises:
            ItemError: the maps of a photograph are missing, or cannot be used. The caller then gives each photograph by
                itself.
        """

    def begin_student(self) -> TagClassifier:
        """Make a copy of the trained classifier, from which a student starts.

        Raises:
            ConfigError: the source has no such classifier.
        """
        raise ConfigError("a student needs a classifier that is trained on the tags (wss.kind classifier or irn)")


@runtime_checkable
class SourceClass(Protocol):
    """The class of a source."""

    def __call__(self, given: Given) -> MapSource:
        """Build the source, on the device.

        Raises:
            ConfigError: settings that cannot work.
            WeightsError: its weights cannot be had.
        """

    def remote(self, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`MapSource.remote`."""

    def further_remotes(self, settings: SourceSettings) -> tuple[Remote | None, ...]:
        """See :meth:`MapSource.further_remotes`."""

    def trainings(self, settings: SourceSettings) -> tuple[str, ...]:
        """See :meth:`MapSource.trainings`."""


def finished(folder: Path | None, file: str) -> Path | None:
    """Return the path of the result of a fitting, if it lies in the output folder."""
    if folder is None:
        return None
    path = inside(folder, file, may_be_link=True)
    return path if path.is_file() else None


def joined(positive: Float[Tensor, "b k u v"], signed: Float[Tensor, "b k u v"]) -> Float[Tensor, "b k u v"]:
    """Join the views: CAMs after the ReLU; before it for classes that are not positive anywhere.

    A class that is positive at one scale counts, even if it is negative at others. Negative values are compared only if
    they are negative at all scales. NaN and infinite values stay, so that the caller can refuse them.

    Args:
        positive: mean of the views, each after the ReLU.
        signed: mean of the views before the ReLU.
    """
    return torch.where((positive.amax(dim=(2, 3), keepdim=True) > 0) & signed.isfinite(), positive, signed)
