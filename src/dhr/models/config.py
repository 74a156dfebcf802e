"""Settings of the networks; apart from them, so that settings are checked before PyTorch is imported."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dhr.bounds import at_least, within
from dhr.errors import ConfigError
from dhr.models.words.texts import check_words

HUB = "hub"
NONE = "none"
HEADED = ("stego", "cause", "hp")
"""Kinds that are a head on top of a network of timm."""
WORD_KINDS = ("clip", "clipseg", "maskclip", "tips", "sam3", "boxes")
"""Values of `wss.kind` that find classes by their names, with networks of transformers."""
CAM_KINDS = ("cam", "gradcam", "layercam", "attention")
"""Values of `wss.cam`."""
BACKGROUNDS = (
    *("ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway"),
    *("railroad", "keyboard", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley"),
    *("bridge", "sign"),
)
"""Names of the surroundings of VOC's things in CLIP-ES (Lin et al., CVPR 2023)."""
DECODERS = ("deeplabv3plus", "deeplabv2")
"""Values of `student.decoder`."""


@dataclass(frozen=True)
class UssConfig:
    """Kind of unsupervised features, and settings of their computation."""

    kind: str = "timm"
    """`timm` (any Vision Transformer or CNN of timm), `stego` or `cause` (a head on top of one, trained by
    `dhr train-head` or by its authors), `hp` (Hidden Positives) or `leopart` (their authors' checkpoints), or `colour`
    (colour and texture statistics: no weights, no training)."""
    model: str = "vit_small_patch14_dinov2.lvd142m"
    """Name of the timm model; with a head, of the one below it."""
    weights: str = "hub"
    """Weights of that model: `hub` (timm downloads them), `none` (random), or a local file; for `leopart` its
    checkpoint. Backbone weights inside `head` replace `hub`."""
    head: str | None = None
    """Head of `stego`, `cause` and `hp`: `head.safetensors` of `dhr train-head`, or the authors' checkpoint."""
    block: int = -1
    """Transformer block whose patch tokens are the features, or stage of a CNN whose map they are; -1 is the last."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `timm.create_model`, such as `{output_stride: 16}` for a CNN."""
    mean: tuple[float, float, float] | None = None
    """RGB mean (0..1) that the weights expect; by default timm's."""
    std: tuple[float, float, float] | None = None
    """RGB standard deviation that the weights expect; by default timm's."""
    scales: tuple[float, ...] = (1.0, 2.0)
    """Sizes, relative to the working image, at which features are computed; they are averaged."""
    flip: bool = False
    """Average with the features of the mirrored image."""
    window: int | None = None
    """Side in pixels of overlapping windows. Views larger than the working image go through the network window by
    window; with 0, whole. Default: the size that a Vision Transformer was trained on, and 0 for a CNN."""
    overlap: float = 0.1
    """Least share of a window, 0..0.9, that it has in common with its neighbour."""

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError(f"uss.scales must be positive numbers, got {self.scales}")
        if self.std is not None and min(self.std) <= 0:
            raise ConfigError(f"uss.std must be positive numbers, got {self.std}")
        if self.head is not None and self.kind not in HEADED:
            raise ConfigError(f"uss.head is for uss.kind {', '.join(HEADED)}; {self.kind!r} does not use it")
        if self.window is not None and 0 != self.window < 32:
            raise ConfigError(f"uss.window must be 0 (whole views), or 32 or more pixels; got {self.window}")
        within(0, 0.9, "uss", self, "overlap")


@dataclass(frozen=True)
class WssConfig:
    """Kind of map source, its network, and the computation of its maps."""

    kind: str = "classifier"
    """`classifier`: a network with a 1x1 classifier, trained on the tags; `irn`: the same, and two heads that learn
    from its CAMs where one class ends and another begins, and where the middle of a thing is; `files`: the maps of
    another program, in `maps`; `student`: a student that was trained on masks, in the file `weights`. The following
    find classes by their names and are not trained. `clip`: CLIP, by the gradients of its scores; `maskclip`: CLIP,
    MetaCLIP 2 or SigLIP, by its patches; `tips`: TIPS v2; `clipseg`: CLIPSeg; `sam3`: SAM 3;
    `boxes`: Grounding DINO, MM Grounding DINO, OWLv2 or OmDet-Turbo, whose boxes `segmenter` fills."""
    backbone: str = "resnet50"
    """Name of the timm model, convolutional or a plain Vision Transformer; or `resnet38d` (Wu et al. 2016). For kinds
    that find names, a network of transformers' hub (`openai/clip-vit-base-patch16`), or a folder that holds one, with
    tokenizer and processor, as `save_pretrained` writes them. With `files` it only gives the WSS features, untrained,
    or with --classifier.file FILE as trained by another run. With `none` the USS features take their place."""
    weights: str = "hub"
    """`hub` (they are downloaded), `none` (random), or a local file; for kinds that find names, a folder as
    `save_pretrained` writes it, with safetensors; with `student`, a `student.safetensors`."""
    output_stride: int = 16
    """Pixels of the image per cell of a convolutional encoder's last maps: 8, 16 or 32."""
    cam: str = "cam"
    """Computation of a class's map from the classifier: `cam`; `gradcam` or `layercam`, of the map `layer`;
    `attention`, the CAM spread by the attention of a Vision Transformer."""
    layer: int = -2
    """The encoder's map that `gradcam` and `layercam` read, counted from the last, -1."""
    blocks: tuple[int, int] = (-3, -1)
    """The two blocks of a Vision Transformer whose patch tokens are the features; the second one's are classified."""
    prompt: str | tuple[str, ...] | None = None
    """The text of a class for kinds that find names, or several texts, whose results are averaged; `{}` is the name. By
    default that of the kind: `a clean origami {}.` for `clip`, `{}` for `sam3` and `boxes`, else `a photo of a {}.`"""
    words: dict[str, str | tuple[str, ...] | dict[str, str | tuple[str, ...]]] = field(default_factory=dict)
    """Other names of classes for kinds that find names, and for the labels of objects of `files`: one (`{crane: crane
    bird}`), several that mean the same (`{crane: [crane bird, heron]}`), or also names of things that are taken for the
    class (`{crane: {names: [crane bird], not: [construction crane]}}`)."""
    backgrounds: tuple[str, ...] = BACKGROUNDS
    """Names of other things in photographs, unless they are classes. In `clip` they compete with the tags. In
    `maskclip` and `tips` a map is what fits the class better than these."""
    refine: bool = True
    """Whether the maps of `clip` are spread by the attention of its last blocks."""
    segmenter: str = "facebook/sam2.1-hiera-small"
    """The network that finds the thing in each box of `boxes`: a SAM, SAM-HQ, SAM 2, SAM 3 tracker or EdgeTAM, by its
    name on transformers' hub or as a folder; `none`: whole boxes."""
    maps: Path | None = None
    """Folder of `files`: NAME.npz, NAME.npy or NAME.png for each photograph; or boxes, polygons and masks of objects
    as Grounded-SAM, Ferret, autodistill, X-AnyLabeling and others write them (docs/models.md)."""
    numbering: str = "tagged"
    """Numbers of classes in dictionaries of `files`: `tagged`, 0 is the first class that can be tagged; `table`, 0 is
    the first class of all, the background if there is one; arrays may then begin with the background."""
    mean: tuple[float, float, float] | None = None
    """RGB mean (0..1) that the weights expect; by default timm's."""
    std: tuple[float, float, float] | None = None
    """RGB standard deviation that the weights expect; by default timm's."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `timm.create_model`, such as `{pad_type: same}`."""
    scales: tuple[float, ...] = (1.0, 1.5, 2.0)
    """Sizes, relative to the working image, at which CAMs and features are computed and averaged. `clipseg`, `sam3`
    and `boxes` see each photograph at the one size that they were trained on."""
    flip: bool = False
    """Average with the maps of the mirrored image."""

    def __post_init__(self) -> None:
        if self.output_stride not in (8, 16, 32):
            raise ConfigError(f"wss.output_stride must be 8, 16 or 32, got {self.output_stride}")
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError(f"wss.scales must be positive numbers, got {self.scales}")
        if self.cam not in CAM_KINDS:
            raise ConfigError(f"wss.cam must be one of {', '.join(CAM_KINDS)}; got {self.cam!r}")
        if self.kind in WORD_KINDS and self.cam != "cam":
            raise ConfigError(f"wss.cam is for classifiers; {self.kind} has its own maps, got {self.cam!r}")
        check_words(self.words, self.prompt)
        if self.numbering not in ("tagged", "table"):
            raise ConfigError(f"wss.numbering must be tagged or table, got {self.numbering!r}")
        if self.maps is not None and self.kind != "files":
            raise ConfigError(
                f"wss.maps is for wss.kind files; the kind is {self.kind}. Of several sources: --source-settings "
                "'{files: {maps: DIR}}'"
            )
        if self.std is not None and min(self.std) <= 0:
            raise ConfigError(f"wss.std must be positive numbers, got {self.std}")


@dataclass(frozen=True)
class StudentConfig:
    """The network that is trained on the masks, and its maps for rebalancing."""

    kind: Literal["joint", "mask2former"] = "joint"
    """`joint`: the classifier with a decoder, which can be trained with recursion; `mask2former`: a second stage,
    trained on finished masks (`dhr train --masks DIR`), without recursion, with the settings `mask2former` and
    `student_training`."""
    decoder: str = "deeplabv3plus"
    """`deeplabv3plus` (ASPP and a skip from a quarter of the size; Chen et al. 2018) or `deeplabv2` (a sum of dilated
    convolutions; Chen et al. 2016)."""
    width: int = 256
    """Channels of `deeplabv3plus`."""
    low_level: int = 48
    """Channels of its skip."""
    rates: tuple[int, ...] = (6, 12, 18)
    """Dilations of its ASPP, or of all convolutions of `deeplabv2` (6, 12, 18, 24 in the paper)."""
    norm: Literal["group", "batch"] = "group"
    """Normalisation in the decoder. `group` does not depend on the batch, so losses do not depend on the number of
    processes; published figures use `batch`."""
    maps: Literal["decoder", "cam"] = "decoder"
    """The student's maps for rebalancing: the decoder's probabilities, or its CAMs (the paper)."""

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise ConfigError(f"student.decoder must be one of {', '.join(DECODERS)}; got {self.decoder!r}")
        at_least(1, "student", self, "width", "low_level")
        if not self.rates or min(self.rates) < 1:
            raise ConfigError(f"student.rates must be dilations of 1 or more, got {self.rates}")
        kinds = ("joint", "mask2former")
        for name, known in (("kind", kinds), ("norm", ("group", "batch")), ("maps", ("decoder", "cam"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"student.{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Mask2FormerConfig:
    """The network of `student.kind mask2former` (Cheng et al. 2022), in transformers."""

    model: str = "microsoft/swin-large-patch4-window12-384-in22k"
    """Architecture and weights: a name of transformers' hub, or a folder as `save_pretrained` writes it, of a backbone
    or of a whole Mask2Former (`facebook/mask2former-swin-large-ade-semantic`, which was trained with masks that people
    drew); `timm/NAME` for a backbone of timm (`timm/resnet50`); or a type of backbone of transformers (`swin`,
    `convnext`), with random weights."""
    weights: str = "hub"
    """`hub` (those of `model`), `none` (random), or a file of all of the network or of the backbone alone: safetensors,
    or a PyTorch state dict with transformers' (timm's) names."""
    backbone: dict[str, Any] = field(default_factory=dict)
    """Settings of the backbone that differ from those of `model`, with transformers' names."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings of the Mask2Former that differ from those of `model`, with transformers' names (`num_queries`,
    `train_num_points`)."""
    mean: tuple[float, float, float] | None = None
    """RGB mean (0..1) that the weights expect; by default ImageNet's, or timm's."""
    std: tuple[float, float, float] | None = None
    """The same, standard deviation."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("mask2former.model must name a model; got nothing")
        if reserved := {"backbone_config", "num_labels", "id2label"} & {*self.options}:
            raise ConfigError(f"mask2former.options cannot set {', '.join(sorted(reserved))}; see mask2former.backbone")
