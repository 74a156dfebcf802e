"""`wss.kind classifier`: CAMs of a classifier that is trained on the tags."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from dhr.data.samples import DataSet, Sample
from dhr.models.config import NONE
from dhr.models.remote import Remote, wss_remote
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress
from dhr.sources.network import NetworkSource, placed
from dhr.sources.protocol import Given, SourceSettings, finished
from dhr.sources.weights_file import load_classifier, write_weights
from dhr.train.classifier import train_classifier
from dhr.train.crops import TrainingSet
from dhr.train.fitted import fitted_classifier

FILE = "classifier.safetensors"
"""Name of the file of the trained classifier in the output folder."""


class ClassifierSource(NetworkSource):
    """A tag classifier, trained here or by another run (`classifier.file`)."""

    takes_classifier = True
    make: ClassVar[type[TagClassifier]] = TagClassifier
    network: TagClassifier

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        settings, classes = given.settings, given.classes
        wss = settings.wss
        if has_classifier(settings, given.folder):
            wss = replace(wss, weights=NONE)
        network = self.make(wss, len(classes.foreground))
        if settings.classifier.file is None:
            self.fittings = (ClassifierFitting(network, given),)
        else:
            load_classifier(settings.classifier.file, network, network.tag_state(), classes)
        self.network = placed(network, given.device)

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`~dhr.sources.protocol.MapSource.remote`: the backbone, unless the classifier is trained."""
        return None if has_classifier(settings, folder) else wss_remote(settings.wss)

    @classmethod
    def trainings(cls, settings: SourceSettings) -> tuple[str, ...]:
        """See :meth:`~dhr.sources.protocol.MapSource.trainings`."""
        return ("classifier",) if settings.classifier.file is None else ()

    def begin_student(self) -> TagClassifier:
        """See :meth:`~dhr.sources.protocol.MapSource.begin_student`."""
        config = replace(self.given.settings.wss, kind="classifier", weights=NONE)
        network = TagClassifier(config, len(self.given.classes.foreground))
        network.load_state_dict(self.network.tag_state())
        return network


@dataclass(frozen=True)
class ClassifierFitting:
    """The training on the tags; see :class:`~dhr.sources.protocol.Fitting`."""

    network: TagClassifier
    given: Given
    name: str = "classifier"
    file: str = FILE
    for_student: bool = True

    def chosen(self, photographs: int) -> dict[str, int]:
        """See :meth:`~dhr.sources.protocol.Fitting.chosen`."""
        config = self.given.settings.classifier
        return {} if config.epochs else {"epochs": fitted_classifier(config, photographs).epochs}

    def fit(self, data: DataSet, samples: Sequence[Sample], checkpoint: Path, progress: Progress) -> None:
        """See :meth:`~dhr.sources.protocol.Fitting.fit`."""
        settings = self.given.settings
        train_classifier(
            self.network,
            TrainingSet(data, samples, settings.image.long_side, settings.seed),
            settings.classifier,
            freeze_norm=settings.wss.weights != NONE,
            checkpoint=checkpoint,
            progress=progress,
        )

    def save(self, path: Path) -> None:
        """See :meth:`~dhr.sources.protocol.Fitting.save`."""
        write_weights(path, self.network.tag_state(), self.given)

    def load(self, path: Path) -> None:
        """See :meth:`~dhr.sources.protocol.Fitting.load`."""
        load_classifier(path, self.network, self.network.tag_state(), self.given.classes)


def has_classifier(settings: SourceSettings, folder: Path | None) -> bool:
    """Return whether the classifier is already trained; then the backbone's pretrained weights are not needed."""
    return settings.classifier.file is not None or finished(folder, FILE) is not None
