"""Small random detectors that are asked for names, written as `save_pretrained` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from .word_models import LETTERS

_SWIN = {
    "model_type": "swin", "image_size": 64, "embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2],
    "window_size": 4, "out_indices": [2, 3, 4],
}  # fmt: skip
_BERT = {
    "model_type": "bert", "vocab_size": 1100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 48, "max_position_embeddings": 64,
}  # fmt: skip


def _bert_tokenizer(transformers: Any) -> Any:
    """Letters, and the special tokens at the places that the networks expect."""
    words = [f"[unused{index}]" for index in range(1100)]
    for index, word in (
        (0, "[PAD]"),
        (100, "[UNK]"),
        (101, "[CLS]"),
        (102, "[SEP]"),
        (103, "[MASK]"),
        (1012, "."),
        (1029, "?"),
    ):
        words[index] = word
    words[200 : 200 + 26], words[300 : 300 + 26] = LETTERS, [f"##{one}" for one in LETTERS]
    return transformers.BertTokenizer({word: index for index, word in enumerate(words)})


def _clip_tokenizer(transformers: Any) -> tuple[Any, int]:
    """Letters first: OWLv2 takes texts that begin with token 0 for padding."""
    words = [*LETTERS, *(f"{one}</w>" for one in LETTERS), ",</w>", ".</w>", "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer({name: index for index, name in enumerate(words)}, []), len(words)


def _grounding(transformers: Any, kind: str) -> tuple[Any, Any, Any]:
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=_SWIN, text_config=_BERT, d_model=32, encoder_layers=2, decoder_layers=2, num_queries=20,
        encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=4, decoder_attention_heads=4,
        num_feature_levels=4, max_text_len=64,
    )  # fmt: skip
    network = getattr(transformers, f"{kind}ForObjectDetection")(config)
    processor = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    return network, processor, _bert_tokenizer(transformers)


def _owlv2(transformers: Any) -> tuple[Any, Any, Any]:
    tokenizer, words = _clip_tokenizer(transformers)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.Owlv2Config(
        text_config={
            **tower, "vocab_size": words, "max_position_embeddings": 16, "bos_token_id": words - 2,
            "eos_token_id": words - 1,
        },
        vision_config={**tower, "image_size": 64, "patch_size": 16}, projection_dim=32,
    )  # fmt: skip
    processor = transformers.Owlv2ImageProcessor(size={"height": 64, "width": 64})
    return transformers.Owlv2ForObjectDetection(config), processor, tokenizer


def _omdet(transformers: Any) -> tuple[Any, Any, Any]:
    tokenizer, words = _clip_tokenizer(transformers)
    config = transformers.OmDetTurboConfig(
        backbone_config=_SWIN, apply_layernorm_after_vision_backbone=False,
        text_config={
            "model_type": "clip_text_model", "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "vocab_size": words, "max_position_embeddings": 40, "projection_dim": 64,
            "bos_token_id": words - 2, "eos_token_id": words - 1,
        },
        image_size=64, class_embed_dim=64, text_projection_in_dim=64, text_projection_out_dim=64,
        task_encoder_hidden_dim=32, vision_features_channels=[32, 32, 32], encoder_hidden_dim=32,
        decoder_hidden_dim=32, encoder_in_channels=[32, 64, 128], encoder_dim_feedforward=32, num_queries=20,
        decoder_num_heads=4, decoder_num_layers=2, decoder_dim_feedforward=32, encoder_num_heads=4,
        learn_initial_query=False, cache_size=4,
    )  # fmt: skip
    processor = transformers.DetrImageProcessor(size={"height": 64, "width": 64}, do_pad=False, format="coco_detection")
    return transformers.OmDetTurboForObjectDetection(config), processor, tokenizer


DETECTORS: dict[str, Callable[[Any], tuple[Any, Any, Any]]] = {
    "GroundingDinoForObjectDetection": lambda transformers: _grounding(transformers, "GroundingDino"),
    "MMGroundingDinoForObjectDetection": lambda transformers: _grounding(transformers, "MMGroundingDino"),
    "Owlv2ForObjectDetection": _owlv2,
    "OmDetTurboForObjectDetection": _omdet,
}
"""Makers of a network, its image processor and its tokenizer, by class."""


def write_detector(folder: Path, name: str = "Owlv2ForObjectDetection") -> Path:
    """Write a random detector whose boxes depend on the image, and whose scores depend on the text."""
    transformers = pytest.importorskip("transformers", reason="dhr[clip] is not installed")
    torch.manual_seed(0)
    network, processor, tokenizer = DETECTORS[name](transformers)
    for parameter in network.parameters():  # at birth all is so small that every text is the same
        torch.nn.init.normal_(parameter, std=0.15) if parameter.dim() == 2 else None
    for part in (network, processor, tokenizer):
        part.save_pretrained(folder)
    return folder
