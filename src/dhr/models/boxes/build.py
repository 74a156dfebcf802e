"""Builds a detector from transformers' hub, or from a folder that `save_pretrained` wrote."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dhr.models.boxes.grounding import Grounding
from dhr.models.boxes.omdet import OmDet
from dhr.models.boxes.owlv2 import Owlv2
from dhr.models.boxes.protocol import Detector, Prepared, Texts, read_processor
from dhr.models.config import WssConfig
from dhr.models.pretrained import Place, read_kind, read_network, transformers_for
from dhr.models.words.texts import prompts_of, words_of
from dhr.models.words.tokens import Reader, read_tokenizer
from dhr.models.words.vocabulary import Vocabulary

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "grounding-dino": "GroundingDinoForObjectDetection",
        "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
        "owlv2": "Owlv2ForObjectDetection",
        "omdet-turbo": "OmDetTurboForObjectDetection",
    }
)
"""Classes of transformers by the `model_type` of a config.json."""
_OWL_TOKENS = 16


def boxes_place(config: WssConfig) -> Place:
    """Return where the detector is."""
    return Place(
        config.backbone, config.weights, "wss.backbone", "detector",
        words=True, pixels=True, example="IDEA-Research/grounding-dino-tiny", older=True,
    )  # fmt: skip


def build_boxes(config: WssConfig, names: Sequence[str], device: torch.device | None = None) -> Detector:
    """Build a detector of the classes ``names``. Nothing that is read is executed.

    Raises:
        ConfigError: transformers is not installed, the network is of another kind, or a name cannot be read.
        WeightsError: weights, tokenizer or the size of images are missing, damaged or of another architecture.
    """
    transformers, place = transformers_for("wss.kind boxes"), boxes_place(config)
    kind = read_kind(transformers, place, KINDS)
    prepared = read_processor(transformers, place)
    network: Any = read_network(getattr(transformers, KINDS[kind]), place).to(device)
    texts = Texts.of(Vocabulary.of(words_of(names, config)), prompts_of(config))
    return _MAKERS[kind](transformers, place, network, texts, prepared)


def _grounding(transformers: Any, place: Place, network: Any, texts: Texts, prepared: Prepared) -> Detector:
    tokenizer = read_tokenizer(transformers, place, network.config.text_config.vocab_size)
    reader = Reader(tokenizer, network.config.max_text_len, padded=False, lower=True, model=place.name)
    reader.check(texts.vocabulary.names)
    for text in texts.whole:
        reader(text)
    return Grounding(network, texts, tokenizer, prepared).eval()


@torch.no_grad()
def _owlv2(transformers: Any, place: Place, network: Any, texts: Texts, prepared: Prepared) -> Detector:
    tokenizer = read_tokenizer(transformers, place, network.config.text_config.vocab_size)
    most = min(_OWL_TOKENS, network.config.text_config.max_position_embeddings)
    reader = Reader(tokenizer, most, padded=True, lower=False, model=place.name)
    reader.check(texts.vocabulary.names)

    def embed(text: str) -> Tensor:
        tokens = {name: value.to(network.device) for name, value in reader(text).items()}
        found: Tensor = network.owlv2.get_text_features(**tokens).pooler_output
        return normalize(found)

    return Owlv2(network, texts, torch.cat([embed(text) for text in texts.whole]), prepared).eval()


@torch.no_grad()
def _omdet(transformers: Any, place: Place, network: Any, texts: Texts, prepared: Prepared) -> Detector:
    text_config = network.config.text_config
    tokenizer = read_tokenizer(transformers, place, text_config.vocab_size)
    reader = Reader(tokenizer, text_config.max_position_embeddings, padded=True, lower=False, model=place.name)
    reader.check(texts.vocabulary.names)

    def tokens(sentence: str) -> tuple[Tensor, Tensor]:
        found = [reader(sentence.replace("{}", text)) for text in texts.whole]
        ids, masks = (torch.cat([one[name] for one in found]) for name in ("input_ids", "attention_mask"))
        return ids.to(network.device), masks.to(network.device)

    count = torch.tensor([1] * len(texts.whole))
    made = network.get_language_embedding(*tokens("{}"), *tokens("Detect {}."), count)
    return OmDet(network, texts, made, prepared).eval()


_MAKERS: Mapping[str, Callable[[Any, Place, Any, Texts, Prepared], Detector]] = {
    "grounding-dino": _grounding,
    "mm-grounding-dino": _grounding,
    "owlv2": _owlv2,
    "omdet-turbo": _omdet,
}
