"""`wss.kind files`: the class maps of another program instead of a network's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.cam_files import SUFFIXES, find_maps, read_maps
from dhr.data.map_numbers import Stack
from dhr.data.samples import ClassTable, Sample
from dhr.errors import ConfigError
from dhr.models.wss import WssConfig, build_wss
from dhr.models.wss.classifier import TagClassifier

NO_NETWORK = "none"
"""`wss.backbone` of a run whose WSS features are its USS features."""


@dataclass(frozen=True)
class StoredMaps:
    """Maps in files, and the network whose features go with them."""

    folder: Path
    classes: ClassTable
    numbering: str
    network: TagClassifier | None
    """What makes the WSS features; without it, USS features serve as both."""
    stack: Stack | None = None
    """What arrays without numbers hold, once all files were looked at."""

    def read(self, sample: Sample) -> Float[Tensor, "1 k u v"]:
        """The maps of the photograph's tags, on the file's own grid.

        Raises:
            ItemError: it has no file, or one that does not fit its tags.
        """
        maps = read_maps(find_maps(self.folder, sample.name), sample.tags, self.classes, self.numbering, self.stack)
        return torch.from_numpy(maps).unsqueeze(0)

    def features(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """WSS features of RGB images in 0..1."""
        assert self.network is not None
        none: Sequence[int] = ()
        return self.network.maps(images, none).features


def stored_maps(config: WssConfig, classes: ClassTable) -> StoredMaps:
    """What ``config`` names.

    Raises:
        ConfigError: there is no such folder, or no maps in it.
        WeightsError: the weights of `wss.backbone` cannot be had.
    """
    folder = config.maps
    if folder is None or not folder.is_dir():
        raise ConfigError(f"wss.kind files needs a folder of maps: --wss.maps DIR; got {folder}")
    if not any(path.suffix in SUFFIXES for path in folder.rglob("*")):
        raise ConfigError(f"--wss.maps: {folder} holds no file of maps ({', '.join(SUFFIXES)})")
    network = None
    if config.backbone != NO_NETWORK:
        names = [classes.names[index] for index in classes.foreground]
        made = build_wss(replace(config, kind="classifier", cam="cam", maps=None), names)
        assert isinstance(made, TagClassifier)
        network = made
    return StoredMaps(folder, classes, config.numbering, network)
