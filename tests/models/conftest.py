"""A machine without a network, and the real weights where there are any."""

import os
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest


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


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Folder of the real weights; the test is skipped without it."""
    shared = Path(os.environ.get("DHR_SHARED", Path(__file__).parents[2].parent / "shared"))
    if not (shared / "weights").is_dir():
        pytest.skip(f"no real weights in {shared / 'weights'}; name their parent folder in DHR_SHARED")
    return shared / "weights"
