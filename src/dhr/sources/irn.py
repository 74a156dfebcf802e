"""`wss.kind irn`: a trained classifier, and heads that learn class boundaries from its CAMs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dhr.data.samples import DataSet, Sample
from dhr.models.wss.classifier import TagClassifier
from dhr.models.wss.irn import IrnClassifier
from dhr.progress import Progress
from dhr.sources.classifier import ClassifierSource
from dhr.sources.protocol import Given, SourceSettings
from dhr.sources.weights_file import load_heads, write_weights
from dhr.train.affinity import train_affinity
from dhr.train.crops import TrainingSet


class IrnSource(ClassifierSource):
    """A tag classifier with the heads of IRN."""

    make: ClassVar[type[TagClassifier]] = IrnClassifier
    further = ("edges",)
    network: IrnClassifier

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.fittings = (*self.fittings, AffinityFitting(self.network, given))

    @classmethod
    def trainings(cls, settings: SourceSettings) -> tuple[str, ...]:
        """See :meth:`~dhr.sources.protocol.MapSource.trainings`."""
        return (*super().trainings(settings), "affinity")


@dataclass(frozen=True)
class AffinityFitting:
    """The training of the heads; see :class:`~dhr.sources.protocol.Fitting`."""

    network: IrnClassifier
    given: Given
    name: str = "affinity"
    file: str = "affinity.safetensors"
    for_student: bool = False

    def chosen(self, photographs: int) -> dict[str, int]:
        """See :meth:`~dhr.sources.protocol.Fitting.chosen`."""
        return {}

    def fit(self, data: DataSet, samples: Sequence[Sample], checkpoint: Path, progress: Progress) -> None:
        """See :meth:`~dhr.sources.protocol.Fitting.fit`."""
        settings = self.given.settings
        photographs = TrainingSet(data, samples, settings.image.long_side, settings.seed)
        train_affinity(self.network, photographs, settings.affinity, checkpoint=checkpoint, progress=progress)

    def save(self, path: Path) -> None:
        """See :meth:`~dhr.sources.protocol.Fitting.save`."""
        write_weights(path, self.network.heads.state_dict(), self.given)

    def load(self, path: Path) -> None:
        """See :meth:`~dhr.sources.protocol.Fitting.load`."""
        load_heads(path, self.network.heads)
