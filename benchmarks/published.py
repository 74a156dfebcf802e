"""Networks that find names as they were published, but with random weights."""

from collections.abc import Mapping
from typing import Any

import torch

from dhr.models.boxes.grounding import Grounding
from dhr.models.boxes.omdet import OmDet
from dhr.models.boxes.owlv2 import Owlv2
from dhr.models.boxes.protocol import Prepared, Texts
from dhr.models.words.clipseg import ClipSeg
from dhr.models.words.cosines import MASKCLIP, TIPS, WordCosines
from dhr.models.words.pixels import Pixels
from dhr.models.words.sam3 import Sam3
from dhr.models.words.texts import Word
from dhr.models.words.vocabulary import Vocabulary

_CLIP = {"vision_config": {"patch_size": 16}, "projection_dim": 512}
_HUGE = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
PUBLISHED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "MaskCLIP, CLIP B/16": ("CLIPModel", _CLIP),
    "MaskCLIP, MetaCLIP 2 H/14": (
        "MetaClip2Model", {"vision_config": {**_HUGE, "patch_size": 14}, "projection_dim": 1024},
    ),
    "MaskCLIP, SigLIP 2 B/16": ("SiglipModel", {"vision_config": {"image_size": 512, "patch_size": 16}}),
    "TIPS v2 B/14": ("Tipsv2Model", {}),
    "CLIPSeg rd64": ("CLIPSegForImageSegmentation", {**_CLIP, "use_complex_transposed_convolution": True}),
    "SAM 3": ("Sam3Model", {}),
    "Grounding DINO T": ("GroundingDinoForObjectDetection", {}),
    "MM Grounding DINO T": ("MMGroundingDinoForObjectDetection", {}),
    "OWLv2 B/16": ("Owlv2ForObjectDetection", {"vision_config": {"image_size": 960, "patch_size": 16}}),
    "OmDet-Turbo T": ("OmDetTurboForObjectDetection", {}),
}  # fmt: skip
"""By the name of the card: the class in transformers, and its settings."""
_COLOURS = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def network(name: str) -> Any:
    """Build the network of a card with random weights, for two classes with random texts."""
    import transformers

    kind, settings = PUBLISHED[name]
    made: Any = getattr(transformers, kind)(getattr(transformers, kind).config_class(**settings)).eval()
    vocabulary = Vocabulary.of([Word("a", ("a",)), Word("b", ("b",))])
    if kind == "CLIPSegForImageSegmentation":
        return ClipSeg(made, vocabulary, torch.rand(2, 512), Pixels((352, 352), False, *_COLOURS))
    if "ObjectDetection" in kind:
        return detector(made, vocabulary)
    if kind == "Sam3Model":
        made.text_encoder = None
        masks = torch.ones(2, 1, 32, dtype=torch.bool)
        return Sam3(made, vocabulary, torch.rand(2, 1, 32, 256), masks, Pixels((1008, 1008), False, *_COLOURS))
    family = next(one for one in (*MASKCLIP.values(), *TIPS.values()) if one.name == kind)
    width = made.config.text_config.hidden_size if kind != "MetaClip2Model" else 1024
    width = 512 if kind == "CLIPModel" else width
    return WordCosines(family.tower(made), vocabulary, torch.rand(2, width), Pixels(None, False, *_COLOURS))


def detector(made: Any, vocabulary: Vocabulary) -> Any:
    """Build a detector that needs neither tokenizer nor processor to be counted."""
    texts, prepared = Texts.of(vocabulary, ("{}",)), Prepared(None)
    if hasattr(made, "owlv2"):
        return Owlv2(made, texts, torch.rand(2, 512), prepared)
    if hasattr(made, "language_backbone"):
        return OmDet(made, texts, (torch.rand(1, 2, 512), torch.rand(9, 2, 512), torch.ones(2, 9).long()), prepared)
    return Grounding(made, texts, None, prepared)


def run(model: Any, image: torch.Tensor) -> None:
    """Compute the maps of two classes for one photograph."""
    if isinstance(model, WordCosines):
        model.maps(image)
    else:
        model.ask(model.encode(image), 0, [0, 1])
