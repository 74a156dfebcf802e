"""Generated inputs of ``gpu.py``: batches of scenes with maps of any network, and folders of photographs."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.scenes import SceneDataSet
from dhr.method.scene import Batch


@dataclass(frozen=True)
class Size:
    """How large the inputs are."""

    side: int
    batch: int
    classes: int = 4

    @staticmethod
    def of(small: bool) -> "Size":
        """512 pixels and 16 images, or what a CPU takes in a moment."""
        return Size(64, 2) if small else Size(512, 16)


def scene_images(size: Size) -> Tensor:
    """A batch of scenes, RGB in 0..1."""
    scenes = SceneDataSet(size.batch, seed=0, size=(size.side, size.side))
    images = [torch.from_numpy(scenes.read_image(sample)) for sample in scenes.samples]
    return torch.stack(images).movedim(3, 1).float() / 255


def smooth_scores(size: Size, classes: int | None = None) -> Tensor:
    """Probabilities of classes: softmax of smooth random logits."""
    random = torch.Generator().manual_seed(0)
    cells = max(2, size.side // 32)
    logits = 2 * torch.randn(size.batch, classes or size.classes, cells, cells, generator=random)
    return interpolate(logits, (size.side, size.side), mode="bicubic").softmax(dim=1)


def method_batch(size: Size, uss: int = 384, wss: int = 512) -> Batch:
    """Maps as networks give them: the features of a cell point where its colour and its class do."""
    random = torch.Generator().manual_seed(1)
    images, cells = scene_images(size), size.side // 8
    cams = interpolate(smooth_scores(size), (cells // 2, cells // 2), mode="area")
    around = torch.cat([interpolate(images, (cells, cells), mode="area"), interpolate(cams, (cells, cells))], dim=1)
    maps = [
        torch.einsum("dc,bcuv->bduv", torch.randn(channels, around.shape[1], generator=random), around)
        + 0.1 * torch.randn(size.batch, channels, cells, cells, generator=random)
        for channels in (uss, wss)
    ]
    return Batch(cams, maps[0], maps[1], images)


def moved(batch: Batch, device: torch.device, dtype: torch.dtype = torch.float32) -> Batch:
    """The batch on a device."""

    def there(maps: Tensor) -> Tensor:
        return maps.to(device, dtype)

    images = None if batch.images is None else there(batch.images)
    return Batch(there(batch.cams), there(batch.uss_features), there(batch.wss_features), images)


def write_photographs(root: Path, distinct: int, copies: int, side: int) -> Path:
    """A data folder of scenes in JPEG, each several times, with the tags of the scenes."""
    scenes = SceneDataSet(distinct, seed=0, size=(side, side))
    (root / "images").mkdir(parents=True)
    rows = ["image,tags"]
    for index, sample in enumerate(scenes.samples):
        first = root / "images" / f"{index:04}_0.jpg"
        Image.fromarray(scenes.read_image(sample)).save(first, quality=90)
        tags = ";".join(scenes.classes.names[tag] for tag in sample.tags)
        for copy in range(copies):
            path = root / "images" / f"{index:04}_{copy}.jpg"
            if copy:
                shutil.copyfile(first, path)
            rows.append(f"{path.name},{tags}")
    (root / "tags.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (root / "classes.txt").write_text("\n".join(scenes.classes.names) + "\n", encoding="utf-8")
    return root
