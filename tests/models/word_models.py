"""Small random networks that find classes by their names, written as `save_pretrained` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from .conftest import TINY_TOWER, write_tiny_clip

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
SIDE = 56
"""Height and width of the images of networks that take one size."""
_TOWER = {**TINY_TOWER, "num_hidden_layers": 3}


def _clip_tokenizer(transformers: Any) -> tuple[Any, int]:
    ends = ["<|startoftext|>", "<|endoftext|>"]
    words = [*ends, *LETTERS, *(f"{one}</w>" for one in LETTERS), ",</w>", ".</w>"]
    return transformers.CLIPTokenizer({name: index for index, name in enumerate(words)}, []), len(words)


def _gemma_tokenizer(transformers: Any) -> tuple[Any, int]:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", ".", *LETTERS]
    made = transformers.Siglip2Tokenizer({name: index for index, name in enumerate(words)}, [])
    return made, len(words)


def _clip(transformers: Any) -> tuple[Any, Any, Any]:
    raise AssertionError("written by write_tiny_clip")


def _metaclip(transformers: Any) -> tuple[Any, Any, Any]:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", ".", *LETTERS, "<mask>"]
    tokenizer = transformers.XLMRobertaTokenizer(vocab=[(piece, -float(index)) for index, piece in enumerate(pieces)])
    text = {**_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 40, "eos_token_id": 2}
    vision = {**_TOWER, "image_size": 32, "patch_size": 8}
    config = transformers.MetaClip2Config(text_config=text, vision_config=vision, projection_dim=16)
    return transformers.MetaClip2Model(config), transformers.CLIPImageProcessor(), tokenizer


def _siglip(transformers: Any) -> tuple[Any, Any, Any]:
    tokenizer, words = _gemma_tokenizer(transformers)
    text = {**_TOWER, "vocab_size": words, "max_position_embeddings": 32, "projection_size": 32}
    vision = {**_TOWER, "image_size": 32, "patch_size": 8}
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    return transformers.SiglipModel(config), transformers.SiglipImageProcessor(), tokenizer


def _siglip2(transformers: Any) -> tuple[Any, Any, Any]:
    tokenizer, words = _gemma_tokenizer(transformers)
    text = {**_TOWER, "vocab_size": words, "max_position_embeddings": 32, "projection_size": 32}
    config = transformers.Siglip2Config(text_config=text, vision_config={**_TOWER, "num_patches": 16, "patch_size": 8})
    return transformers.Siglip2Model(config), transformers.Siglip2ImageProcessor(patch_size=8), tokenizer


def _tips(transformers: Any) -> tuple[Any, Any, Any]:
    words = ["<pad>", "<unk>", "▁", ".", *LETTERS]
    tokenizer = transformers.Tipsv2Tokenizer({name: index for index, name in enumerate(words)}, [])
    text = {**_TOWER, "vocab_size": len(words), "max_position_embeddings": 32}
    vision = {key: value for key, value in _TOWER.items() if key != "intermediate_size"}
    config = transformers.Tipsv2Config(
        text_config=text, vision_config={**vision, "mlp_ratio": 2, "image_size": 56, "patch_size": 14}
    )
    return transformers.Tipsv2Model(config), transformers.Tipsv2ImageProcessor(), tokenizer


def _clipseg(transformers: Any) -> tuple[Any, Any, Any]:
    tokenizer, words = _clip_tokenizer(transformers)
    text = {**_TOWER, "vocab_size": words, "max_position_embeddings": 40, "bos_token_id": 0, "eos_token_id": 1}
    config = transformers.CLIPSegConfig(
        text_config={**text, "pad_token_id": 1}, vision_config={**_TOWER, "image_size": 32, "patch_size": 8},
        projection_dim=16, extract_layers=[0, 1], reduce_dim=8, decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )  # fmt: skip
    processor = transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE})
    return transformers.CLIPSegForImageSegmentation(config), processor, tokenizer


def _sam3(transformers: Any, kind: str = "Sam3", text: str = "clip_text_model") -> tuple[Any, Any, Any]:
    tokenizer, words = _clip_tokenizer(transformers)
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": SIDE, "patch_size": 14, "window_size": 2, "global_attn_indexes": [1],
        "pretrain_image_size": 28,
    }  # fmt: skip
    part = {"hidden_size": 16, "num_attention_heads": 2, "num_layers": 2, "intermediate_size": 32}
    config = getattr(transformers, f"{kind}Config")(
        vision_config={
            "backbone_config": backbone, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 16,
        },
        text_config={
            "model_type": text, **_TOWER, "num_hidden_layers": 2, "vocab_size": words,
            "projection_dim": 16, "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 1,
        },
        geometry_encoder_config=part, detr_encoder_config=part, detr_decoder_config={**part, "num_queries": 5},
        mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )  # fmt: skip
    processor = transformers.Sam3ImageProcessor(size={"height": SIDE, "width": SIDE})
    return getattr(transformers, f"{kind}Model")(config), processor, tokenizer


def _sam3_lite(transformers: Any) -> tuple[Any, Any, Any]:
    return _sam3(transformers, "Sam3LiteText", "sam3_lite_text_text_model")


WORD_MODELS: dict[str, tuple[str, Callable[[Any], tuple[Any, Any, Any]]]] = {
    "CLIPModel": ("maskclip", _clip),
    "MetaClip2Model": ("maskclip", _metaclip),
    "SiglipModel": ("maskclip", _siglip),
    "Siglip2Model": ("maskclip", _siglip2),
    "Tipsv2Model": ("tips", _tips),
    "CLIPSegForImageSegmentation": ("clipseg", _clipseg),
    "Sam3Model": ("sam3", _sam3),
    "Sam3LiteTextModel": ("sam3", _sam3_lite),
}
"""Classes of transformers: the kind of source that takes one, and what makes a small one."""


def write_word_model(name: str, folder: Path) -> Path:
    """Write a network, the processor of its images and its tokenizer, all of them of transformers."""
    transformers = pytest.importorskip("transformers", reason="dhr[clip] is not installed")
    if name == "CLIPModel":
        write_tiny_clip(folder, num_hidden_layers=3)
        transformers.CLIPImageProcessor().save_pretrained(folder)
        return folder
    torch.manual_seed(0)
    network, processor, tokenizer = WORD_MODELS[name][1](transformers)
    for parameter in network.parameters():  # at birth all is so small that every text is the same
        torch.nn.init.normal_(parameter, std=0.3) if parameter.dim() == 2 else None
    for part in (network, processor, tokenizer):
        part.save_pretrained(folder)
    return folder
