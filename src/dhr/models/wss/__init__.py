"""Weakly-supervised (WSS) networks: class maps, learnt from tags alone. The sources of :mod:`dhr.sources` use them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dhr.errors import ConfigError

CAM_KINDS = ("cam", "gradcam", "layercam", "attention")
"""What `wss.cam` can be."""


BACKGROUNDS = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway"),
    *("railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley"),
    *("bridge", "sign"),
)
"""What CLIP-ES (Lin et al., CVPR 2023) tells CLIP of the surroundings of VOC's things."""


@dataclass(frozen=True)
class WssConfig:
    """Which classifier is trained on the tags, and how its maps are computed."""

    kind: str = "classifier"
    """`classifier`: a network with a 1x1 classifier, trained on the tags; `irn`: the same, and two heads that learn
    from its CAMs where one class ends and another begins, and where the middle of a thing is; `clip`: CLIP, which knows
    classes by their names and is not trained; `files`: the maps of another program, in `maps`."""
    backbone: str = "resnet50"
    """Name of the timm model, convolutional or a plain Vision Transformer; or `resnet38d` (Wu et al. 2016). With
    `clip`, a CLIP of transformers' hub (`openai/clip-vit-base-patch16`) or a folder that holds one. With `files` it
    only gives the WSS features, untrained, or with --classifier.file FILE as trained by another run; `none`: the USS
    features are both."""
    weights: str = "hub"
    """`hub` (they are downloaded), `none` (random), or a local file; with `clip`, a folder as `save_pretrained` writes
    it (config.json, safetensors, tokenizer)."""
    output_stride: int = 16
    """Pixels of the image a cell of a convolutional encoder's last maps: 8, 16 or 32."""
    cam: str = "cam"
    """How a class's map is read from the classifier: `cam`; `gradcam` or `layercam`, of the map `layer`; `attention`,
    the CAM spread by the attention of a Vision Transformer."""
    layer: int = -2
    """The encoder's map that `gradcam` and `layercam` read, counted from the last, -1."""
    blocks: tuple[int, int] = (-3, -1)
    """The two blocks of a Vision Transformer whose patch tokens are the features; the second is what is classified."""
    prompt: str = "a clean origami {}."
    """What `clip` is told of a class; `{}` is its name."""
    words: dict[str, str] = field(default_factory=dict)
    """What `clip` calls a class if not by its name, such as `{crane: crane bird}`."""
    backgrounds: tuple[str, ...] = BACKGROUNDS
    """What else `clip` may see in a photograph: names that compete with the tags, but for those that are classes."""
    refine: bool = True
    """Whether the maps of `clip` are spread by the attention of its last blocks."""
    maps: Path | None = None
    """Folder of `files`: NAME.npz, NAME.npy or NAME.png for each photograph (docs/models.md)."""
    numbering: str = "tagged"
    """How dictionaries of `files` count classes: `tagged`, 0 is the first that can be tagged; `table`, 0 is the first
    of all, the background if there is one, with which arrays may begin then."""
    mean: tuple[float, float, float] | None = None
    """RGB mean (0..1) that the weights expect; by default what timm says of the model."""
    std: tuple[float, float, float] | None = None
    """RGB standard deviation that the weights expect; by default what timm says of the model."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `timm.create_model`, such as `{pad_type: same}`."""
    scales: tuple[float, ...] = (1.0, 1.5, 2.0)
    """Sizes, relative to the working image, at which CAMs and features are computed and averaged."""
    flip: bool = True
    """Average with the maps of the mirrored image."""

    def __post_init__(self) -> None:
        if self.output_stride not in (8, 16, 32):
            raise ConfigError(f"wss.output_stride must be 8, 16 or 32, got {self.output_stride}")
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError(f"wss.scales must be positive numbers, got {self.scales}")
        if self.cam not in CAM_KINDS:
            raise ConfigError(f"wss.cam must be one of {', '.join(CAM_KINDS)}; got {self.cam!r}")
        if self.kind == "clip" and self.cam != "cam":
            raise ConfigError(f"wss.cam is for classifiers; clip has its own maps (see wss.refine), got {self.cam!r}")
        if "{}" not in self.prompt:
            raise ConfigError(f"wss.prompt must hold {{}}, the place of the class's name; got {self.prompt!r}")
        if self.numbering not in ("tagged", "table"):
            raise ConfigError(f"wss.numbering must be tagged or table, got {self.numbering!r}")
        if self.maps is not None and self.kind != "files":
            raise ConfigError(f"wss.maps is for wss.kind files; the kind is {self.kind}")
        if self.std is not None and min(self.std) <= 0:
            raise ConfigError(f"wss.std must be positive numbers, got {self.std}")


@dataclass(frozen=True)
class WssMaps:
    """What a WSS model sees in a batch of images, on its own grid."""

    cams: Float[Tensor, "b c u v"]
    """Class activation maps before the ReLU, one for each class that was asked for."""
    features: Float[Tensor, "b d _ _"]
    """Features, maybe on another grid, of the encoder's last two stages, each of unit length at every position."""
    edges: Float[Tensor, "b 1 p q"] | None = None
    """Probability, 0..1, that one class ends here and another begins, on a grid of its own; None if not known."""
    probabilities: Float[Tensor, "b _ _ _"] | None = None
    """Of a student: how likely each cell is of the background, where there is one, and of the classes asked for."""


@runtime_checkable
class WssModel(Protocol):
    """Class activation maps and the features that they were read from."""

    @property
    def dim(self) -> int:
        """Number of channels of the features."""
        ...

    def maps(self, images: Float[Tensor, "b 3 h w"], tags: Sequence[int] | None = None) -> WssMaps:
        """Maps of RGB images in 0..1; no gradient.

        Args:
            images: of one photograph, if it is known what is in it.
            tags: the classes of the CAMs, 0 the first that can be tagged; by default all.
        """
        ...
