"""Facts on each model, for ``dhr models`` and docs/models.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""RGB mean and standard deviation (0..1) that weights expect."""


@dataclass(frozen=True)
class ModelCard:
    """One model with its published weights."""

    name: str
    """Its name in the list of models."""
    role: str
    """`uss` or `wss`: the input of the method that it computes."""
    settings: Mapping[str, str]
    """Settings of a run that select it, without ``uss.`` or ``wss.``."""
    source: str
    """Authors, year and paper."""
    licence: str
    """Licence of the published weights."""
    hub: str | None
    """Repository on the Hugging Face hub for weights `hub`; None without one."""
    dim: int
    """Channels of its features; 0 if it has no features, or if its checkpoint sets them."""
    stride: int
    """Pixels per cell of its maps at the default settings; 0 for maps from files."""
    scaling: tuple[tuple[float, float, float], tuple[float, float, float]] | None
    """RGB mean and standard deviation that the weights expect; None without weights."""
    parameters: float | None
    """Millions of parameters of the network that sees photographs; None for maps from files."""
    gated: bool = False
    """Whether the authors give out the weights on request: to those who accept the licence on the hub's page."""
    file: bool = False
    """Whether the user must name a file of weights."""
    note: str = ""
    """Other remarks."""


def _vit(name: str, model: str, source: str, dim: int, patch: int, parameters: float) -> ModelCard:
    licence = "DINOv3 licence" if "dinov3" in model else "Apache-2.0"
    settings = {"kind": "timm", "model": model}
    return ModelCard(name, "uss", settings, source, licence, f"timm/{model}", dim, patch, IMAGENET, parameters)


def _classifier(name: str, backbone: str, tag: str, source: str, dim: int, parameters: float) -> ModelCard:
    scaling = HALF if "augreg" in tag else IMAGENET
    return ModelCard(
        name, "wss", {"kind": "classifier", "backbone": backbone}, source, "Apache-2.0", f"timm/{backbone}.{tag}",
        dim, 16, scaling, parameters,
    )  # fmt: skip


def _words(name: str, kind: str, hub: str, source: str, facts: tuple[str, int, int, float], **more: Any) -> ModelCard:
    licence, dim, stride, parameters = facts
    scaling = more.pop("scaling", HALF)
    settings = {"kind": kind, "backbone": hub}
    return ModelCard(name, "wss", settings, source, licence, hub, dim, stride, scaling, parameters, **more)


_DINO = "Caron et al. 2021, arXiv:2104.14294"
_DINOV2 = "Oquab et al. 2023, arXiv:2304.07193"
_REGISTERS = "Darcet et al. 2023, arXiv:2309.16588"
_DINOV3 = "Simeoni et al. 2025, arXiv:2508.10104"
_RESNET = "He et al. 2015, arXiv:1512.03385; weights Wightman et al. 2021, arXiv:2110.00476"
_RESNEST = "Zhang et al. 2020, arXiv:2004.08955"
_AUGREG = "Steiner et al. 2021, arXiv:2106.10270"

CARDS: tuple[ModelCard, ...] = (
    _vit("DINO S/16", "vit_small_patch16_224.dino", _DINO, 384, 16, 21.7),
    _vit("DINO B/16", "vit_base_patch16_224.dino", _DINO, 768, 16, 85.8),
    _vit("DINOv2 S/14", "vit_small_patch14_dinov2.lvd142m", _DINOV2, 384, 14, 22.1),
    _vit("DINOv2 B/14", "vit_base_patch14_dinov2.lvd142m", _DINOV2, 768, 14, 86.6),
    _vit("DINOv2 L/14", "vit_large_patch14_dinov2.lvd142m", _DINOV2, 1024, 14, 304.4),
    _vit("DINOv2 S/14, registers", "vit_small_patch14_reg4_dinov2.lvd142m", _REGISTERS, 384, 14, 22.1),
    _vit("DINOv2 B/14, registers", "vit_base_patch14_reg4_dinov2.lvd142m", _REGISTERS, 768, 14, 86.6),
    _vit("DINOv3 S/16", "vit_small_patch16_dinov3.lvd1689m", _DINOV3, 384, 16, 21.6),
    _vit("DINOv3 B/16", "vit_base_patch16_dinov3.lvd1689m", _DINOV3, 768, 16, 85.6),
    ModelCard(
        "STEGO", "uss", {"kind": "stego", "model": "vit_base_patch8_224.dino"},
        "Hamilton et al. 2022, arXiv:2203.08414", "MIT", None, 0, 8, IMAGENET, 86.5, file=True,
        note="--uss.head FILE: the authors' checkpoint, or `dhr train-head` on any network of timm",
    ),
    ModelCard(
        "CAUSE", "uss", {"kind": "cause", "model": "vit_base_patch8_224.dino"},
        "Kim et al. 2023, arXiv:2310.07379", "none stated", None, 0, 8, IMAGENET, 94.7, file=True,
        note="--uss.head FILE: the authors' segment_tr.pth, its codebook beside it, or `dhr train-head`",
    ),
    ModelCard(
        "Hidden Positives", "uss", {"kind": "hp", "model": "vit_small_patch8_224.dino"},
        "Seong et al. 2023, arXiv:2303.15014", "MIT", None, 0, 8, IMAGENET, 21.9, file=True,
        note="--uss.head FILE: the authors' checkpoint",
    ),
    ModelCard(
        "Leopart S/16", "uss", {"kind": "leopart", "model": "vit_small_patch16_224.dino"},
        "Ziegler and Asano 2022, arXiv:2204.13101", "MIT", None, 384, 16, IMAGENET, 21.7, file=True,
        note="--uss.weights FILE: the authors' checkpoint",
    ),
    ModelCard(
        "colour and texture", "uss", {"kind": "colour"}, "this project", "Apache-2.0", None, 20, 4, None, 0.0,
        note="no weights and no training",
    ),
    _classifier("ResNet-50", "resnet50", "a1_in1k", _RESNET, 3072, 23.5),
    _classifier("ResNet-101", "resnet101", "a1h_in1k", _RESNET, 3072, 42.5),
    _classifier("ResNeSt-50d", "resnest50d", "in1k", _RESNEST, 3072, 25.4),
    _classifier("ResNeSt-101e", "resnest101e", "in1k", _RESNEST, 3072, 46.2),
    _classifier("MobileNetV2", "mobilenetv2_100", "ra_in1k", "Sandler et al. 2018, arXiv:1801.04381", 416, 1.8),
    _classifier("ViT S/16", "vit_small_patch16_224", "augreg_in21k_ft_in1k", _AUGREG, 768, 21.7),
    _classifier("ViT Ti/16", "vit_tiny_patch16_224", "augreg_in21k_ft_in1k", _AUGREG, 384, 5.5),
    ModelCard(
        "ResNet-38d", "wss", {"kind": "classifier", "backbone": "resnet38d"}, "Wu et al. 2016, arXiv:1611.10080",
        "Apache-2.0", None, 5120, 16, IMAGENET, 105.1, file=True,
        note="reads the checkpoint that PSA, SEAM and others start from",
    ),
    ModelCard(
        "CLIP B/16", "wss", {"kind": "clip", "backbone": "openai/clip-vit-base-patch16"},
        "Radford et al. 2021, arXiv:2103.00020; maps after Lin et al. 2023, arXiv:2212.09506", "MIT",
        "openai/clip-vit-base-patch16", 1536, 16, CLIP, 86.2, note="any classes by name, no training; needs dhr[clip]",
    ),
    _words(
        "MaskCLIP, CLIP B/16", "maskclip", "openai/clip-vit-base-patch16", "Zhou et al. 2022, arXiv:2112.01071",
        ("MIT", 768, 16, 86.2), scaling=CLIP,
    ),
    _words(
        "MaskCLIP, MetaCLIP 2 H/14", "maskclip", "facebook/metaclip-2-worldwide-huge-quickgelu",
        "Chuang et al. 2025, arXiv:2507.22062", ("CC-BY-NC-4.0", 1280, 14, 632.1), scaling=CLIP,
        note="names in many languages; no commercial use",
    ),
    _words(
        "MaskCLIP, SigLIP 2 B/16", "maskclip", "google/siglip2-base-patch16-512",
        "Tschannen et al. 2025, arXiv:2502.14786", ("Apache-2.0", 768, 16, 93.5), note="names in many languages",
    ),
    _words(
        "TIPS v2 B/14", "tips", "google/tipsv2-b14", "Maninis et al. 2024, arXiv:2410.16512, version 2",
        ("Apache-2.0", 768, 14, 86.3), scaling=None, note="images are not scaled",
    ),
    _words(
        "CLIPSeg rd64", "clipseg", "CIDAS/clipseg-rd64-refined", "Lüddecke and Ecker 2022, arXiv:2112.10003",
        ("Apache-2.0", 768, 16, 86.9), scaling=IMAGENET, note="photographs are seen at 352 x 352",
    ),
    _words(
        "SAM 3", "sam3", "facebook/sam3", "Carion et al. 2025, arXiv:2511.16719",
        ("SAM License", 256, 14, 486.9), gated=True, note="photographs are seen at 1008 x 1008; some uses are barred",
    ),
    _words(
        "Grounding DINO T", "boxes", "IDEA-Research/grounding-dino-tiny", "Liu et al. 2023, arXiv:2303.05499",
        ("Apache-2.0", 0, 0, 172.3), scaling=IMAGENET, note="boxes, filled by wss.segmenter",
    ),
    _words(
        "MM Grounding DINO T", "boxes", "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
        "Zhao et al. 2024, arXiv:2401.02361", ("Apache-2.0", 0, 0, 172.3), scaling=IMAGENET,
        note="boxes, filled by wss.segmenter",
    ),
    _words(
        "OWLv2 B/16", "boxes", "google/owlv2-base-patch16-ensemble", "Minderer et al. 2023, arXiv:2306.09683",
        ("Apache-2.0", 0, 0, 91.6), scaling=CLIP, note="boxes, filled by wss.segmenter",
    ),
    _words(
        "OmDet-Turbo T", "boxes", "omlab/omdet-turbo-swin-tiny-hf", "Zhao et al. 2024, arXiv:2403.06892",
        ("Apache-2.0", 0, 0, 52.0), scaling=IMAGENET, note="boxes, filled by wss.segmenter",
    ),
    ModelCard(
        "maps of other programs", "wss", {"kind": "files", "backbone": "none"}, "their program", "its own", None,
        0, 0, None, None, note="--wss.maps DIR: arrays, PNG, boxes, outlines; the WSS features are the USS features",
    ),
)  # fmt: skip
"""Models that are known to work; a test compares these facts with timm's. Other models of timm work too."""


def presence(card: ModelCard) -> str:
    """Return where the weights of ``card`` are, without using the network.

    `none needed`, `a file that you name`, `here` (in the hub's cache on this machine), `downloaded at first use`, or
    `on request` (the authors' licence is accepted on the hub's page, then they are downloaded).
    """
    if card.file:
        return "a file that you name"
    if card.hub is None:
        return "none needed"
    from huggingface_hub import try_to_load_from_cache

    files = ("model.safetensors", "pytorch_model.bin")
    here = any(isinstance(try_to_load_from_cache(card.hub, name), str) for name in files)
    return "here" if here else "on request" if card.gated else "downloaded at first use"
