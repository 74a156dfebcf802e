"""SAM 3 (Carion et al. 2025): it finds all instances of what a name says, and the area of all of them."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from dhr.errors import WeightsError
from dhr.models.config import WssConfig
from dhr.models.pretrained import Place, read_kind, read_network, transformers_for
from dhr.models.words.pixels import Pixels, read_pixels
from dhr.models.words.prompted import Encoded
from dhr.models.words.texts import prompts_of, sentences, words_of
from dhr.models.words.tokens import Reader, read_tokenizer
from dhr.models.words.vocabulary import Vocabulary

KINDS = {"sam3": "Sam3Model", "sam3_video": "Sam3Model", "sam3_lite_text": "Sam3LiteTextModel"}
"""Classes of transformers, by `model_type`. Files of the video model hold those of the image model."""
_PROMPTS = 4  # sentences that the network is asked for together: each needs some 500 MB


class Sam3(nn.Module):
    """Probability of each name in each pixel; see :class:`~dhr.models.words.prompted.Prompted`.

    A pixel has the larger of two values: the probability of the semantic map, and the highest of all instances, each
    the probability of its mask times its score. Both are multiplied by the probability that the image shows the name.
    """

    texts: Tensor
    masks: Tensor

    def __init__(
        self,
        network: Any,
        vocabulary: Vocabulary,
        texts: Float[Tensor, "n s l d"],
        masks: Bool[Tensor, "n s l"],
        pixels: Pixels,
    ) -> None:
        """Take a ``Sam3Model``, and of each name and sentence the features of the tokens and which of them count."""
        super().__init__()
        self.network, self.vocabulary, self.pixels = network, vocabulary, pixels
        self.together = max(1, _PROMPTS // texts.shape[1])
        self.register_buffer("texts", texts, persistent=False)
        self.register_buffer("masks", masks, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Encode RGB images in 0..1, stretched to the size that the network was trained on."""
        seen = self.network.get_vision_features(self.pixels.sized(images))
        maps = tuple(seen.fpn_hidden_states)
        return Encoded((*maps, *seen.fpn_position_encoding), normalize(maps[-2]))  # the last map is not used

    @torch.no_grad()
    def ask(self, encoded: Encoded, index: int, names: Sequence[int]) -> Float[Tensor, "n p q"]:
        """Return the probabilities of some names for one image; those of several sentences are averaged."""
        texts, masks = (value[list(names)].flatten(0, 1) for value in (self.texts, self.masks))
        one = [value[index : index + 1].expand(len(texts), -1, -1, -1) for value in encoded.maps]
        half = len(one) // 2
        image = SimpleNamespace(
            fpn_hidden_states=one[:half], fpn_position_encoding=one[half:], hidden_states=None, attentions=None
        )
        made = self.network(vision_embeds=image, text_embeds=SimpleNamespace(pooler_output=texts), attention_mask=masks)
        area = made.semantic_seg[:, 0].float().sigmoid()
        scores = made.pred_logits.float().sigmoid()[:, :, None, None]
        instances = (made.pred_masks.float().sigmoid() * scores).amax(dim=1)
        shown = made.presence_logits.float().sigmoid()[:, :, None]  # (n, 1, 1)
        found = torch.maximum(area, instances) * shown
        mean: Tensor = found.unflatten(0, (len(names), -1)).mean(dim=1)
        return mean


def sam3_place(config: WssConfig) -> Place:
    """Return where the network is."""
    example = "facebook/sam3"
    return Place(config.backbone, config.weights, "wss.backbone", "SAM 3", words=True, pixels=True, example=example)


def build_sam3(config: WssConfig, names: Sequence[str], device: torch.device | None = None) -> Sam3:
    """Build SAM 3 with maps of the classes ``names``. Nothing that is read is executed.

    Raises:
        ConfigError: transformers is not installed, the network is of another kind, or a name cannot be read.
        WeightsError: weights, tokenizer or the size of images are missing, damaged or of another architecture.
    """
    transformers, place = transformers_for("wss.kind sam3"), sam3_place(config)
    kind = read_kind(transformers, place, KINDS)
    pixels = read_pixels(transformers, place, config, fixed=True)
    network: Any = read_network(getattr(transformers, KINDS[kind]), place).to(device)
    side = network.config.vision_config.backbone_config.image_size
    if pixels.side != (side, side):
        raise WeightsError(
            f"{place.name!r} needs images of {side} x {side}, its preprocessor_config.json has "
            f"{' x '.join(map(str, pixels.side or ()))}; copy all files of one SAM 3"
        )
    text = network.config.text_config
    tokenizer = read_tokenizer(transformers, place, text.vocab_size)
    reader = Reader(tokenizer, text.max_position_embeddings, padded=True, lower=False, model=place.name)
    vocabulary, prompts = Vocabulary.of(words_of(names, config)), prompts_of(config)
    reader.check(vocabulary.names)
    texts, masks = [], []
    with torch.no_grad():
        for name in vocabulary.names:
            for sentence in sentences(name, prompts):
                tokens = {key: value.to(device) for key, value in reader(sentence).items()}
                texts.append(network.get_text_features(**tokens).pooler_output)
                masks.append(tokens["attention_mask"].bool())
    network.text_encoder = None  # a third of the network, which is not asked again
    shape = (len(vocabulary.names), len(prompts))
    together, counted = (torch.cat(some).reshape(*shape, *some[0].shape[1:]) for some in (texts, masks))
    return Sam3(network, vocabulary, together, counted, pixels).eval()
