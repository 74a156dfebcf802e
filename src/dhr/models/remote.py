"""Weights that `hub` stands for: which a set of settings needs, which are here, and fetching the others.

Downloading clients try again and again for a minute where there is no network. So all weights are looked for in the
caches first, and one short question tells whether the others can be had at all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from dhr.errors import WeightsError
from dhr.models.weights import HUB, NONE

if TYPE_CHECKING:
    from dhr.models.config import WssConfig
    from dhr.models.student import Mask2FormerConfig
    from dhr.models.uss import UssConfig

PATIENCE = 5.0
"""Seconds in which a server must answer."""

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SHARDED = (*_WEIGHTS, "model.safetensors.index.json", "pytorch_model.bin.index.json")
_CONFIG = ("config.json",)
_TOKENIZER = ("tokenizer.json", "vocab.json")
_TIMM = "timm/"


@dataclass(frozen=True)
class Remote:
    """Files of one model on a server."""

    setting: str
    """The command's setting that can name local files instead."""
    model: str
    local: str
    """What local files are: `FILE` or `DIR`."""
    repository: str = ""
    """On the Hugging Face hub; empty if the weights have an address of their own."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Of each group of names in the repository, one file is needed."""
    whole: bool = False
    """Whether transformers reads the repository, which asks for further files."""
    url: str = ""
    """Address, without a repository."""


def timm_remote(model: str, setting: str) -> Remote | None:
    """The published weights of a network of timm; None if timm knows no such model, or no weights of it."""
    import timm

    if not timm.is_model(model) or not timm.models.is_model_pretrained(model):
        return None
    facts = timm.get_pretrained_cfg(model)
    assert facts is not None
    if facts.hf_hub_id:
        return Remote(setting, model, "FILE", facts.hf_hub_id, (_WEIGHTS,))
    return Remote(setting, model, "FILE", url=str(facts.url or ""))


def clip_remote(config: "WssConfig") -> Remote | None:
    """The CLIP that `wss.kind clip` takes from the hub; None if it is a folder."""
    if config.weights not in (HUB, NONE) or not _on_hub(config.backbone):
        return None
    weights = (_SHARDED,) if config.weights == HUB else ()
    groups = (_CONFIG, *weights, _TOKENIZER)
    return Remote("wss.weights", config.backbone, "DIR", config.backbone, groups, whole=True)


def mask2former_remote(config: "Mask2FormerConfig") -> Remote | None:
    """What a Mask2Former takes from a hub; None if it needs nothing from there."""
    if config.model.startswith(_TIMM):
        name = config.model.removeprefix(_TIMM)
        return timm_remote(name, "mask2former.weights") if config.weights == HUB else None
    if not _on_hub(config.model):
        return None
    weights = (_SHARDED,) if config.weights == HUB else ()
    return Remote("mask2former.model", config.model, "DIR", config.model, (_CONFIG, *weights), whole=True)


def _on_hub(name: str) -> bool:
    """Whether it has the form of a repository, and is no folder."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None and not Path(name).is_dir()


def wss_remote(config: "WssConfig") -> Remote | None:
    """What the WSS model of the settings takes from a hub; None if it needs nothing from there."""
    from dhr.models.wss.resnet38d import NAME

    if config.kind == "clip":
        return clip_remote(config)
    if config.weights != HUB or config.backbone in (NONE, NAME):
        return None
    return timm_remote(config.backbone, "wss.weights")


def uss_remote(config: "UssConfig") -> Remote | None:
    """What the USS model of the settings takes from a hub; None if it needs nothing from there.

    Checkpoints of heads may hold the network below them; whether they do is seen when they are read.
    """
    from dhr.models.uss.head_file import is_head

    below = config.head is not None and (config.kind == "cause" or is_head(Path(config.head)))
    if config.weights != HUB or not (config.kind == "timm" or below):
        return None
    return timm_remote(config.model, "uss.weights")


def cached(remote: Remote) -> list[Path] | None:
    """Its files, one of each group, if they are all on this machine; no network is asked."""
    if remote.url:
        path = _torch_cache() / PurePosixPath(urlparse(remote.url).path).name
        return [path] if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = []
    for group in remote.groups:
        places = [try_to_load_from_cache(remote.repository, name) for name in group]
        here = next((place for place in places if isinstance(place, str)), None)
        if here is None:
            return None
        found.append(Path(here))
    return found


def unreachable(remote: Remote) -> str | None:
    """Why its server cannot be asked, in words; None if it answers."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    address = remote.url or constants.ENDPOINT
    try:
        get_session().head(address, timeout=PATIENCE)
    except Exception as error:  # a client raises whatever it happens to
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        return f"{urlparse(address).netloc} does not answer ({reason}); with HF_HUB_OFFLINE=1 it is not asked"
    return None


_DOWNLOAD = "where there is a network, `dhr models --download` fetches them"
COPY = "run this where there is a network, and copy the folder that it prints"


def require(remotes: Sequence[Remote | None], remedy: str = _DOWNLOAD) -> None:
    """Make sure that weights are here or can be fetched, before anything else is done.

    Args:
        remotes: the weights; None is none.
        remedy: how else to have them.

    Raises:
        WeightsError: some are not here, and their server cannot be asked; it names all of them.
    """
    absent = [remote for remote in dict.fromkeys(remotes) if remote is not None and cached(remote) is None]
    servers = {remote.url and urlparse(remote.url).netloc: remote for remote in absent}  # of each, one is asked
    reasons = {server: unreachable(remote) for server, remote in servers.items()}
    lost = [remote for remote in absent if reasons[remote.url and urlparse(remote.url).netloc]]
    if lost:
        why = next(reason for reason in reasons.values() if reason)
        names = ", ".join(f"{one.model!r} (or a local --{one.setting} {one.local})" for one in lost)
        raise WeightsError(
            f"weights are missing on this machine, and cannot be fetched: {why}. Missing: {names}; {remedy}. No "
            "weights are needed by `dhr demo`, nor by --uss.kind colour with --wss.weights none (rougher masks)"
        )


def fetch(remote: Remote) -> list[Path]:
    """Its files, downloaded unless they are here.

    Raises:
        WeightsError: they cannot be had.
    """
    if (found := cached(remote)) is not None:
        return found
    require([remote])
    try:
        if remote.url:
            return [_fetch_url(remote.url)]
        if remote.whole:
            from huggingface_hub import snapshot_download

            # Of weights in several formats, those that transformers takes first.
            snapshot_download(remote.repository, ignore_patterns=["*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx/*"])
            found = cached(remote)
            if found is None:
                raise FileNotFoundError("it holds no weights that transformers can read")
            return found
        return [_fetch_one(remote.repository, group) for group in remote.groups]
    except Exception as error:  # a download fails with whatever its client happens to raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(
            f"cannot download the weights of {remote.model!r} ({reason}); name local files: "
            f"--{remote.setting} {remote.local} (or --{remote.setting} none for random weights)"
        ) from error


def _fetch_one(repository: str, group: Sequence[str]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    *others, last = group
    for name in others:
        try:
            return Path(hf_hub_download(repository, name))
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, last))


def _fetch_url(url: str) -> Path:
    import torch

    path = _torch_cache() / PurePosixPath(urlparse(url).path).name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path), progress=False)
    return path


def _torch_cache() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def local_only(remote: Remote | None) -> dict[str, Any]:
    """Arguments for transformers' `from_pretrained`: what is here is read without asking a server.

    Raises:
        WeightsError: it is not here, and its server cannot be asked.
    """
    if remote is None:
        return {"local_files_only": True}
    require([remote])
    return {"local_files_only": cached(remote) is not None}
