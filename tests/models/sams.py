"""Small random networks of each kind that segments anything, written as `save_pretrained` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

_PROMPTS = {"hidden_size": 16, "image_size": 64, "patch_size": 16}
_DECODER = {
    "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
}  # fmt: skip
_VIT = {
    "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
    "patch_size": 8, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 8, "mlp_dim": 32,
}  # fmt: skip
_PYRAMID = {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 16}


def _sam(transformers: Any) -> tuple[Any, Any]:
    config = transformers.SamConfig(
        vision_config=_VIT, prompt_encoder_config={**_PROMPTS, "patch_size": 8}, mask_decoder_config=_DECODER
    )
    return transformers.SamModel(config), transformers.SamImageProcessor(**_padded())


def _sam_hq(transformers: Any) -> tuple[Any, Any]:
    config = transformers.SamHQConfig(
        vision_config=_VIT, prompt_encoder_config={**_PROMPTS, "patch_size": 8},
        mask_decoder_config={**_DECODER, "vit_dim": 16},
    )  # fmt: skip
    return transformers.SamHQModel(config), transformers.SamImageProcessor(**_padded())


def _sam2(transformers: Any) -> tuple[Any, Any]:
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1, "image_size": [64, 64],
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }  # fmt: skip
    config = transformers.Sam2Config(
        vision_config={"backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], **_PYRAMID},
        prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER,
    )  # fmt: skip
    return transformers.Sam2Model(config), transformers.Sam2ImageProcessor(size={"height": 64, "width": 64})


def _sam3(transformers: Any) -> tuple[Any, Any]:
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "window_size": 2, "global_attn_indexes": [1],
        "pretrain_image_size": 28,
    }  # fmt: skip
    config = transformers.Sam3TrackerConfig(
        vision_config={"backbone_config": backbone, **_PYRAMID},
        prompt_encoder_config={**_PROMPTS, "image_size": 56, "patch_size": 14}, mask_decoder_config=_DECODER,
    )  # fmt: skip
    return transformers.Sam3TrackerModel(config), transformers.Sam3ImageProcessor(size={"height": 56, "width": 56})


def _edgetam(transformers: Any) -> tuple[Any, Any]:
    backbone = {
        "model_type": "timm_wrapper", "architecture": "test_resnet", "num_classes": 2,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [1, 2, 3, 4]},
    }  # fmt: skip
    config = transformers.EdgeTamConfig(
        vision_config={"backbone_config": backbone, "backbone_channel_list": [96, 192, 48, 32], **_PYRAMID},
        prompt_encoder_config=_PROMPTS, mask_decoder_config=_DECODER,
    )  # fmt: skip
    return transformers.EdgeTamModel(config), transformers.Sam2ImageProcessor(size={"height": 64, "width": 64})


def _padded() -> dict[str, Any]:
    return {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}


SAMS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "SamModel": _sam, "SamHQModel": _sam_hq, "Sam2Model": _sam2, "Sam3TrackerModel": _sam3, "EdgeTamModel": _edgetam,
}  # fmt: skip
"""Makers of a network and its image processor, by class."""


def write_tiny_sam(folder: Path, kind: str = "Sam2Model") -> Path:
    """Write a random network whose masks depend on the image and on the prompts."""
    transformers = pytest.importorskip("transformers", reason="dhr[clip] is not installed")
    torch.manual_seed(0)
    network, processor = SAMS[kind](transformers)
    for name, parameter in network.named_parameters():  # at birth all is so small that every mask is the same
        if parameter.dim() >= 2 and "timm" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
