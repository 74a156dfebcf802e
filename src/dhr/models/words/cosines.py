"""Maps of names by cosines: how well what each patch shows fits a name (`wss.kind maskclip`, `tips`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from dhr.models.config import WssConfig
from dhr.models.pretrained import Place, read_kind, read_network, transformers_for
from dhr.models.words.pixels import Pixels, read_pixels
from dhr.models.words.texts import prompts_of, words_of
from dhr.models.words.tokens import Reader, read_tokenizer
from dhr.models.words.towers import ClipTower, NaflexTower, SiglipTower, TipsTower
from dhr.models.words.vocabulary import Vocabulary, averaged
from dhr.models.wss import WssMaps


@dataclass(frozen=True)
class Family:
    """Networks of one class."""

    name: str
    """The class in transformers."""
    tower: Callable[[Any], nn.Module]
    padded: bool = False
    """Whether its texts are padded to one length."""
    lower: bool = False
    """Whether it was trained on small letters."""


MASKCLIP: Mapping[str, Family] = {
    "clip": Family("CLIPModel", ClipTower),
    "metaclip_2": Family("MetaClip2Model", ClipTower),
    "siglip": Family("SiglipModel", SiglipTower, padded=True, lower=True),
    "siglip2": Family("Siglip2Model", NaflexTower, padded=True, lower=True),
}
"""Networks of `wss.kind maskclip`, by their `model_type`."""
TIPS: Mapping[str, Family] = {"tipsv2": Family("Tipsv2Model", TipsTower, padded=True)}
"""Networks of `wss.kind tips`."""
_EXAMPLES = {"maskclip": "openai/clip-vit-base-patch16", "tips": "google/tipsv2-b14"}


class WordCosines(nn.Module):
    """Cosines of patches with names, less the mean of those with the names of likely surroundings.

    Cosines of all names are alike, and only their differences tell something. What is above 0 fits the class better
    than surroundings do. The same is subtracted from all photographs, so that their maps can be compared.
    """

    texts: Tensor

    def __init__(self, tower: Any, vocabulary: Vocabulary, texts: Float[Tensor, "n d"], pixels: Pixels) -> None:
        """Take an image encoder and the features of the names, then of the surroundings, of unit length."""
        super().__init__()
        self.tower, self.vocabulary, self.pixels = tower, vocabulary, pixels
        count = len(vocabulary.names)
        usual = texts[count:].mean(dim=0) if len(texts) > count else torch.zeros_like(texts[0])
        self.register_buffer("texts", texts[:count] - usual, persistent=False)
        self.requires_grad_(False)

    @property
    def dim(self) -> int:
        """Channels of the features."""
        return int(self.tower.dim)

    @property
    def tags_apart(self) -> bool:
        """See :class:`~dhr.models.wss.WssModel`: a class's map does not depend on other classes."""
        return True

    @torch.no_grad()
    def maps(self, images: Float[Tensor, "b 3 h w"], tags: Sequence[int] | None = None) -> WssMaps:
        """Compute maps in -2..2 and features of RGB images in 0..1."""
        classes = range(len(self.vocabulary.asked)) if tags is None else tags
        size = [max(1, round(side / self.tower.patch)) for side in images.shape[-2:]]
        pixels = [cells * self.tower.patch for cells in size]
        if list(images.shape[-2:]) != pixels:
            images = interpolate(images, pixels, mode="bilinear", align_corners=False, antialias=True)
        embedded, patches = self.tower(self.pixels.scaled(images))
        needed = self.vocabulary.needed(classes)
        with torch.autocast(images.device.type, enabled=False):  # the differences are small
            fits = normalize(embedded.float(), dim=2) @ self.texts[needed].T  # (b, n, t)
            maps = fits.transpose(1, 2).unflatten(2, size)  # type: ignore[no-untyped-call]
        features = normalize(patches, dim=2).transpose(1, 2).unflatten(2, size)  # type: ignore[no-untyped-call]
        return WssMaps(self.vocabulary.joined(maps, needed, classes), features)


def families_of(config: WssConfig) -> Mapping[str, Family]:
    """Return the networks that a kind takes, by their `model_type`."""
    return TIPS if config.kind == "tips" else MASKCLIP


def cosines_place(config: WssConfig) -> Place:
    """Return where the network is."""
    what = "TIPS v2" if config.kind == "tips" else "CLIP, MetaCLIP 2 or SigLIP"
    return Place(
        config.backbone, config.weights, "wss.backbone", what,
        words=True, pixels=True, example=_EXAMPLES[config.kind], older=config.kind == "maskclip",
    )  # fmt: skip


def build_cosines(config: WssConfig, names: Sequence[str], device: torch.device | None = None) -> WordCosines:
    """Build the network with maps of the classes ``names``. Nothing that is read is executed.

    Raises:
        ConfigError: transformers is not installed, the network is of another kind, or a name cannot be read.
        WeightsError: weights, tokenizer or the scaling of images are missing, damaged or of another architecture.
    """
    transformers, place = transformers_for(f"wss.kind {config.kind}"), cosines_place(config)
    families = families_of(config)
    family = families[read_kind(transformers, place, {kind: one.name for kind, one in families.items()})]
    pixels = read_pixels(transformers, place, config, fixed=False)
    network: Any = read_network(getattr(transformers, family.name), place).to(device)
    text = network.config.text_config
    tokenizer = read_tokenizer(transformers, place, text.vocab_size)
    reader = Reader(tokenizer, text.max_position_embeddings, family.padded, family.lower, place.name)
    vocabulary = Vocabulary.of(words_of(names, config))
    reader.check(vocabulary.names)
    known = {name.casefold() for name in (*names, *vocabulary.names)}
    surroundings = [name for name in config.backgrounds if name.casefold() not in known]

    @torch.no_grad()
    def embed(sentence: str) -> Float[Tensor, "1 d"]:
        tokens = {name: value.to(device) for name, value in reader(sentence).items()}
        found: Tensor = network.get_text_features(**tokens).pooler_output
        return found

    texts = averaged((*vocabulary.names, *surroundings), prompts_of(config), embed)
    return WordCosines(family.tower(network), vocabulary, texts, pixels).eval()
