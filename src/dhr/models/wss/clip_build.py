"""Building CLIP's maps: weights and tokenizer of transformers' hub or a folder, and the texts of the classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from dhr.errors import ConfigError, WeightsError
from dhr.models.config import WssConfig
from dhr.models.remote import clip_remote, local_only
from dhr.models.weights import HUB, NONE, check_folder
from dhr.models.wss.clip import ClipMaps

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the RGB images that CLIPs are trained on."""
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
_LEAST = 3  # words of an empty tokenizer: beginning, end, unknown
_EXAMPLE = "openai/clip-vit-base-patch16"


def build_clip(config: WssConfig, names: Sequence[str]) -> ClipMaps:
    """CLIP with maps of the classes ``names``. Nothing that is read is executed.

    Raises:
        ConfigError: transformers is not installed, or `wss.backbone` is no CLIP.
        WeightsError: weights or tokenizer cannot be had, read, or are of another architecture.
    """
    transformers = _transformers()
    place = config.backbone if config.weights in (HUB, NONE) else config.weights
    local = Path(place).is_dir()
    if config.weights not in (HUB, NONE) and not local:
        raise WeightsError(
            f"--wss.weights: no folder {place}; expected config.json, safetensors and a tokenizer of a CLIP"
        )
    if not local and "/" not in place:
        raise ConfigError(
            f"wss.kind clip needs a CLIP of transformers' hub, such as --wss.backbone {_EXAMPLE}, or a folder that "
            f"holds one; got {place!r}"
        )
    if local:
        check_folder(Path(place), "wss.weights")
    asked = local_only(clip_remote(config))
    settings = _had(place, lambda: transformers.AutoConfig.from_pretrained(place, **asked))
    if settings.model_type != "clip":
        raise ConfigError(f"wss.backbone {place!r} is a {settings.model_type} of transformers, expected a CLIP")
    count = settings.vision_config.num_hidden_layers
    if not all(-count <= block < count for block in config.blocks):
        raise ConfigError(f"wss.blocks must be two of {-count}..{count - 1} for {place!r}, got {config.blocks}")
    network = transformers.CLIPModel(settings) if config.weights == NONE else _load(transformers, place, local, asked)
    network = network.eval().float()
    tokenizer = _had(place, lambda: transformers.CLIPTokenizer.from_pretrained(place, **asked))
    if not _LEAST < len(tokenizer) <= settings.text_config.vocab_size:  # it makes an empty one of a folder without
        raise WeightsError(
            f"the tokenizer of {place!r} has {len(tokenizer)} words, the network {settings.text_config.vocab_size}; "
            "copy all files of the CLIP, tokenizer.json or vocab.json and merges.txt too"
        )
    words = {**WORDS, **config.words}
    if unknown := sorted({*config.words} - {*names}):
        raise ConfigError(f"wss.words: there is no class {', '.join(unknown)}")
    texts = [words.get(name, name.replace("_", " ")) for name in names]
    known = {name.casefold() for name in names}
    surroundings = [name for name in config.backgrounds if name.casefold() not in known]
    embedded = embed(network, tokenizer, [config.prompt.replace("{}", text) for text in (*texts, *surroundings)])
    mean, std = (
        torch.tensor(given or usual).view(3, 1, 1) for given, usual in ((config.mean, MEAN), (config.std, STD))
    )
    return ClipMaps(network, embedded[: len(texts)], embedded[len(texts) :], mean, std, config).eval()


@torch.no_grad()
def embed(network: Any, tokenizer: Any, texts: Sequence[str]) -> Float[Tensor, "n d"]:
    """Return CLIP's features of ``texts``, of unit length."""
    parts = []
    for text in texts:  # one at a time: padding cannot matter then
        tokens = tokenizer(
            [text], return_tensors="pt", truncation=True, max_length=network.config.text_config.max_position_embeddings
        )
        found = network.get_text_features(input_ids=tokens["input_ids"])
        parts.append(normalize(found if isinstance(found, Tensor) else found.pooler_output))
    return torch.cat(parts)


def _transformers() -> Any:
    try:
        import huggingface_hub
        import transformers
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed, which wss.kind clip needs; pip install 'dhr[clip]'"
        ) from error
    transformers.logging.set_verbosity_error()  # we raise its warnings as errors
    huggingface_hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _load(transformers: Any, place: str, local: bool, asked: Mapping[str, Any]) -> Any:
    if local and not list(Path(place).glob("*.safetensors")):
        raise WeightsError(f"--wss.weights: {place} holds no safetensors; save it again with safe_serialization")
    network, info = _had(
        place,
        lambda: transformers.CLIPModel.from_pretrained(
            place, output_loading_info=True, ignore_mismatched_sizes=True, dtype=torch.float32,
            use_safetensors=True if local else None, **asked,
        ),
    )  # fmt: skip
    differ = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if differ:
        raise WeightsError(
            f"{place} holds weights of another architecture than its config.json names: {len(differ)} of "
            f"{len(network.state_dict())} parameters differ, first {', '.join(differ[:3])}"
        )
    return network


def _had(place: str, load: Any) -> Any:
    try:
        return load()
    except Exception as error:  # a hub's client, and parsers of damaged files, raise any exception
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise WeightsError(
            f"cannot read the CLIP {place!r} ({reason}); without a network, name a folder with its config.json, "
            "safetensors and tokenizer: --wss.weights DIR"
        ) from error
