"""Building CLIP's maps: weights and tokenizer of transformers' hub or a folder, and the texts of the classes."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.errors import ConfigError
from dhr.models.cards import CLIP
from dhr.models.config import WssConfig
from dhr.models.pretrained import Place, read_kind, read_network, transformers_for
from dhr.models.words.texts import prompts_of, words_of
from dhr.models.words.tokens import Reader, read_tokenizer
from dhr.models.words.vocabulary import Vocabulary, averaged
from dhr.models.wss.clip import ClipMaps

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "person": "person with clothes,people,human",
        "bird": "bird avian",
        "chair": "chair seat",
        "tvmonitor": "tvmonitor screen",
        "tv": "tvmonitor screen",
        "tie": "necktie",
        "remote": "remote control",
        "backpack": "backpack,bag",
        "handbag": "handbag,purse",
        "umbrella": "umbrella,parasol",
        "hair drier": "hairdrier,blowdrier",
    }
)
"""Names in CLIP-ES for ambiguous class names of VOC and COCO; `wss.words` overrides them."""


def clip_place(config: WssConfig) -> Place:
    """Return where the CLIP of `wss.kind clip` is."""
    example = "openai/clip-vit-base-patch16"
    return Place(config.backbone, config.weights, "wss.backbone", "CLIP", words=True, example=example, older=True)


def build_clip(config: WssConfig, names: Sequence[str]) -> ClipMaps:
    """CLIP with maps of the classes ``names``. Nothing that is read is executed.

    Raises:
        ConfigError: transformers is not installed, or `wss.backbone` is no CLIP.
        WeightsError: weights or tokenizer cannot be had, read, or are of another architecture.
    """
    transformers, place = transformers_for("wss.kind clip"), clip_place(config)
    read_kind(transformers, place, {"clip": "CLIPModel"})
    network: Any = read_network(transformers.CLIPModel, place)
    count = network.config.vision_config.num_hidden_layers
    if not all(-count <= block < count for block in config.blocks):
        raise ConfigError(f"wss.blocks must be two of {-count}..{count - 1} for {place.name!r}, got {config.blocks}")
    text = network.config.text_config
    tokenizer = read_tokenizer(transformers, place, text.vocab_size)
    reader = Reader(tokenizer, text.max_position_embeddings, padded=False, lower=False, model=place.name)
    vocabulary = Vocabulary.of(words_of(names, config, WORDS))
    known = {name.casefold() for name in (*names, *vocabulary.names)}
    surroundings = [name for name in config.backgrounds if name.casefold() not in known]
    reader.check(vocabulary.names)

    @torch.no_grad()
    def embed(sentence: str) -> Float[Tensor, "1 d"]:
        found: Tensor = network.get_text_features(**reader(sentence)).pooler_output
        return found

    embedded = averaged((*vocabulary.names, *surroundings), prompts_of(config), embed)
    mean, std = (
        torch.tensor(given or usual).view(3, 1, 1) for given, usual in zip((config.mean, config.std), CLIP, strict=True)
    )
    return ClipMaps(network, vocabulary, embedded, mean, std, config).eval()
