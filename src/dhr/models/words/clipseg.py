"""CLIPSeg (Lüddecke and Ecker, CVPR 2022): a decoder on CLIP that was trained to segment what a text says."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from dhr.models.config import WssConfig
from dhr.models.pretrained import Place, read_kind, read_network, transformers_for
from dhr.models.words.pixels import Pixels, read_pixels
from dhr.models.words.prompted import Encoded
from dhr.models.words.texts import prompts_of, sentences, words_of
from dhr.models.words.tokens import Reader, read_tokenizer
from dhr.models.words.vocabulary import Vocabulary


class ClipSeg(nn.Module):
    """Probability of each name in each pixel; see :class:`~dhr.models.words.prompted.Prompted`."""

    texts: Tensor
    together = 32

    def __init__(self, network: Any, vocabulary: Vocabulary, texts: Float[Tensor, "n d"], pixels: Pixels) -> None:
        """Take a ``CLIPSegForImageSegmentation`` and the embeddings of the names."""
        super().__init__()
        self.vision, self.decoder = network.clip.vision_model, network.decoder
        self.layers = tuple(int(layer) + 1 for layer in network.extract_layers)  # the first state is the input
        self.vocabulary, self.pixels = vocabulary, pixels
        self.register_buffer("texts", texts, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Encode RGB images in 0..1, stretched to the size that the network was trained on."""
        pixels = self.pixels.sized(images)
        states = self.vision(pixels, interpolate_pos_encoding=True, output_hidden_states=True).hidden_states
        maps = tuple(states[layer] for layer in self.layers)
        patches = normalize(maps[-1][:, 1:], dim=2).transpose(1, 2)
        side = self.vision.config.patch_size
        size = (pixels.shape[-2] // side, pixels.shape[-1] // side)
        return Encoded(maps, patches.unflatten(2, size))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def ask(self, encoded: Encoded, index: int, names: Sequence[int]) -> Float[Tensor, "n p q"]:
        """Return the probabilities of some names for one image."""
        texts = self.texts[list(names)]
        maps = tuple(one[index : index + 1].expand(len(texts), -1, -1) for one in encoded.maps)
        logits: Tensor = self.decoder(maps, texts).logits
        return logits.float().sigmoid()


def clipseg_place(config: WssConfig) -> Place:
    """Return where the network is."""
    return Place(
        config.backbone, config.weights, "wss.backbone", "CLIPSeg",
        words=True, pixels=True, example="CIDAS/clipseg-rd64-refined", older=True,
    )  # fmt: skip


def build_clipseg(config: WssConfig, names: Sequence[str], device: torch.device | None = None) -> ClipSeg:
    """Build CLIPSeg with maps of the classes ``names``. Nothing that is read is executed.

    Raises:
        ConfigError: transformers is not installed, the network is of another kind, or a name cannot be read.
        WeightsError: weights, tokenizer or the size of images are missing, damaged or of another architecture.
    """
    transformers, place = transformers_for("wss.kind clipseg"), clipseg_place(config)
    read_kind(transformers, place, {"clipseg": "CLIPSegForImageSegmentation"})
    pixels = read_pixels(transformers, place, config, fixed=True)
    network: Any = read_network(transformers.CLIPSegForImageSegmentation, place).to(device)
    text = network.config.text_config
    tokenizer = read_tokenizer(transformers, place, text.vocab_size)
    reader = Reader(tokenizer, text.max_position_embeddings, padded=False, lower=False, model=place.name)
    vocabulary = Vocabulary.of(words_of(names, config))
    reader.check(vocabulary.names)

    @torch.no_grad()
    def embed(sentence: str) -> Float[Tensor, "1 d"]:
        tokens = {name: value.to(device) for name, value in reader(sentence).items()}
        found: Tensor = network.clip.get_text_features(**tokens).pooler_output
        return found

    prompts = prompts_of(config)
    means = [torch.stack([embed(text) for text in sentences(name, prompts)]).mean(dim=0) for name in vocabulary.names]
    return ClipSeg(network, vocabulary, torch.cat(means), pixels).eval()
