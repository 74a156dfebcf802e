"""`wss.kind files`: the class maps of another program, read from its files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.cam_files import SUFFIXES
from dhr.data.numbering import numbering
from dhr.data.objects import find_format
from dhr.data.objects.labels import Labels
from dhr.data.samples import ClassTable, Sample
from dhr.errors import ConfigError
from dhr.models.config import NONE, WssConfig
from dhr.models.precision import autocast, resolved
from dhr.models.remote import Remote, wss_remote
from dhr.models.views import average_views
from dhr.models.words.texts import words_of
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress
from dhr.sources.map_files import StoredMaps
from dhr.sources.network import placed
from dhr.sources.object_maps import ObjectMaps
from dhr.sources.protocol import Checked, Given, MapSource, Seen, SourceSettings, joined
from dhr.sources.weights_file import load_classifier


class FilesSource(MapSource):
    """Maps in the folder `wss.maps`, with the features of a network, unless `wss.backbone` is `none`."""

    reads_files = True

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        wss, file = given.settings.wss, given.settings.classifier.file
        self.maps = _maps(wss, given.classes)
        self.network: TagClassifier | None = None
        self.takes_classifier = wss.backbone != NONE
        if wss.backbone != NONE:
            weights = wss.weights if file is None else NONE
            config = replace(wss, kind="classifier", cam="cam", maps=None, weights=weights)
            network = TagClassifier(config, len(given.classes.foreground))
            if file is not None:
                load_classifier(file, network, network.tag_state(), given.classes)
            self.network = placed(network, given.device)

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`~dhr.sources.protocol.MapSource.remote`: the backbone of the features."""
        return None if settings.classifier.file is not None else wss_remote(settings.wss)

    def check(self, samples: Sequence[Sample], sizes: Mapping[str, tuple[int, int]], progress: Progress) -> Checked:
        """See :meth:`~dhr.sources.protocol.MapSource.check`; it also decides how the files are numbered."""
        self.maps, checked = self.maps.check(samples, sizes, progress)
        return checked

    def see(self, images: Float[Tensor, "b 3 h w"], samples: Sequence[Sample], grid: tuple[int, int]) -> Seen:
        """See :meth:`~dhr.sources.protocol.MapSource.see`."""
        found, size = [], (images.shape[-2], images.shape[-1])
        for sample in samples:
            maps = self.maps.read(sample, size).to(images.device)
            positive, signed = (
                interpolate(one, grid, mode="bilinear", align_corners=False, antialias=True)
                for one in (maps.relu(), maps)
            )
            found.append(Seen(joined(positive, signed)))
        return replace(Seen.together(found), features=self._features(images, grid))

    def _features(self, images: Tensor, grid: tuple[int, int]) -> Float[Tensor, "b d u v"] | None:
        network, wss = self.network, self.given.settings.wss
        if network is None:
            return None
        precision = resolved(self.given.settings.precision, images.device)

        def run(views: Tensor) -> tuple[Tensor, ...]:
            with autocast(precision, views.device):
                return (network.maps(views, ()).features,)

        (features,) = average_views(run, images, [grid], wss.scales, wss.flip)
        return features


def _maps(wss: WssConfig, classes: ClassTable) -> StoredMaps | ObjectMaps:
    """Find out what a folder holds: arrays and masks, or objects."""
    folder = wss.maps
    if folder is None or not folder.is_dir():
        raise ConfigError(f"wss.kind files needs a folder of maps: --wss.maps DIR; got {folder}")
    suffixes = {path.suffix for path in folder.rglob("*")}
    found = None if suffixes & {".npz", ".npy"} else find_format(folder)
    if found is not None:
        words = words_of([classes.names[index] for index in classes.foreground], wss)
        labels = Labels(classes, {word.name: word.names for word in words})
        return ObjectMaps(folder, found.read(folder), classes, labels)
    if not suffixes & {*SUFFIXES}:
        raise ConfigError(
            f"--wss.maps: {folder} holds no file of maps ({', '.join(SUFFIXES)}), and no objects (docs/models.md)"
        )
    named = numbering(classes, folder) if (folder / "classes.txt").is_file() else None
    return StoredMaps(folder, classes, wss.numbering, masks=named)
