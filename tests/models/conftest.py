"""A machine without a network, and the real weights where there are any."""

import os
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No connection succeeds, nothing is cached, and nobody waits before trying again."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise OSError("the network is off")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)


TINY_TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 10, "num_attention_heads": 2}
"""Of a CLIP's image and text encoders, small enough for tests; more blocks than those that refine."""


def write_tiny_clip(folder: Path, **vision: Any) -> Path:
    """A random CLIP as ``save_pretrained`` writes it, with a tokenizer that knows letters only."""
    transformers = pytest.importorskip("transformers", reason="dhr[clip] is not installed")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    ends = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {
        name: index for index, name in enumerate([*ends, *letters, *(f"{one}</w>" for one in letters), ",</w>"])
    }
    transformers.CLIPTokenizer(vocabulary, []).save_pretrained(folder)
    torch.manual_seed(0)
    settings = transformers.CLIPConfig(
        text_config={
            **TINY_TOWER, "num_hidden_layers": 2, "vocab_size": len(vocabulary), "max_position_embeddings": 40,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
        },
        vision_config={**TINY_TOWER, "image_size": 64, "patch_size": 8, **vision},
        projection_dim=16,
    )  # fmt: skip
    network = transformers.CLIPModel(settings)
    for parameter in network.parameters():  # at birth all is so small that every text is the same
        torch.nn.init.normal_(parameter, std=0.3) if parameter.dim() == 2 else None
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See :func:`write_tiny_clip`."""
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Folder of the real weights; the test is skipped without it."""
    shared = Path(os.environ.get("DHR_SHARED", Path(__file__).parents[2].parent / "shared"))
    if not (shared / "weights").is_dir():
        pytest.skip(f"no real weights in {shared / 'weights'}; name their parent folder in DHR_SHARED")
    return shared / "weights"
