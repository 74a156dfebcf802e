"""Settings of an export."""

from dataclasses import dataclass
from typing import Literal

from dhr.errors import ConfigError

Images = Literal["none", "link", "copy"]


@dataclass(frozen=True)
class ExportConfig:
    """Settings of the formats.

    Raises:
        ConfigError: settings that cannot work.
    """

    instances: bool = False
    """coco, lightly, labelstudio, cvat, geojson, datumaro: one annotation per connected part, not one per class"""
    min_area: int = 1
    """yolo, and others with instances: leave out connected parts of fewer pixels"""
    images: Images | None = None
    """yolo, fiftyone, datumaro: put photographs into the folder too (link, copy) or not (none). By default yolo and
    fiftyone get links, because they find labels only beside images. datumaro gets none by default, and can copy, not
    link"""
    holes: Literal["keep", "fill"] = "keep"
    """yolo: whether a polygon goes around holes, over a bridge of no width, or across them"""
    image_prefix: str = "/data/local-files/?d=images/"
    """labelstudio: the beginning of a photograph's path in the tasks: Label Studio's local storage, or an URL"""
    competition: Literal["comp5", "comp6"] = "comp6"
    """voc-server: comp5 is for methods trained on VOC's own data only, comp6 for all others (ImageNet)"""
    datumaro_format: str = "datumaro"
    """datumaro: one of its formats that hold masks, such as voc_segmentation, cityscapes, kitti_segmentation"""

    def __post_init__(self) -> None:
        if self.min_area < 1:
            raise ConfigError(f"--min-area must be at least 1 pixel, got {self.min_area}")
        if any(character in self.image_prefix for character in "\r\n\t\0"):
            raise ConfigError(f"--image-prefix must be in one line, got {self.image_prefix!r}")
