"""Weights from a hub: which weights the settings need, which of them are on this machine, and downloads of the rest.

Without a network, downloading clients retry for a minute. So all weights are first looked for in the caches, and one
short request per server shows whether the others can be downloaded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from dhr.errors import WeightsError
from dhr.files import read_regular
from dhr.models.weights import HUB, NONE
from dhr.parsing import parse_json
from dhr.words import one_line

if TYPE_CHECKING:
    from dhr.models.config import WssConfig
    from dhr.models.student import Mask2FormerConfig
    from dhr.models.uss import UssConfig

PATIENCE = 5.0
"""Seconds that a server has to answer."""

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SHARDED = (*_WEIGHTS, "model.safetensors.index.json", "pytorch_model.bin.index.json")
_SAFE = ("model.safetensors", "model.safetensors.index.json")
_CONFIG = ("config.json",)
TOKENIZER = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
"""Files of the words of a tokenizer; one of them is enough."""
_PIXELS = ("preprocessor_config.json", "processor_config.json")
_INDEX_BYTES = 64_000_000
"""Largest list of the files that hold the weights of a large model."""
_TIMM = "timm/"


@dataclass(frozen=True)
class Remote:
    """Files of one model on a server."""

    setting: str
    """The setting that can name local files instead."""
    model: str
    local: str
    """`FILE` or `DIR`, for the help on local files."""
    repository: str = ""
    """On the Hugging Face hub; empty if the weights have an address of their own."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Groups of file names in the repository; one file of each group is needed."""
    whole: bool = False
    """Whether transformers reads the repository, which asks for further files."""
    url: str = ""
    """Address, without a repository."""


def timm_remote(model: str, setting: str) -> Remote | None:
    """Find the published weights of a network of timm; None if timm lacks the model or its weights."""
    import timm

    if not timm.is_model(model) or not timm.models.is_model_pretrained(model):
        return None
    facts = timm.get_pretrained_cfg(model)
    assert facts is not None
    if facts.hf_hub_id:
        return Remote(setting, model, "FILE", facts.hf_hub_id, (_WEIGHTS,))
    return Remote(setting, model, "FILE", url=str(facts.url or ""))


def hub_remote(
    model: str, weights: str, setting: str, *, tokenizer: bool = False, pixels: bool = False, older: bool = False
) -> Remote | None:
    """Return a model that transformers takes from its hub; None if it is a folder, or no name of the hub.

    Args:
        model: its name.
        weights: ``hub`` or ``none``.
        setting: the setting that can name a folder instead.
        tokenizer: whether it has one.
        pixels: whether it has a file on the size and the scaling of its images.
        older: whether its weights may be a PyTorch state dict.
    """
    if not _on_hub(model):
        return None
    kept = ((_SHARDED if older else _SAFE),) if weights == HUB else ()
    groups = (_CONFIG, *kept, *((TOKENIZER,) if tokenizer else ()), *((_PIXELS,) if pixels else ()))
    return Remote(setting, model, "DIR", model, groups, whole=True)


def mask2former_remote(config: "Mask2FormerConfig") -> Remote | None:
    """Find the weights that a Mask2Former takes from a hub; None if it takes no weights from there."""
    if config.model.startswith(_TIMM):
        name = config.model.removeprefix(_TIMM)
        return timm_remote(name, "mask2former.weights") if config.weights == HUB else None
    if not _on_hub(config.model):
        return None
    weights = (_SHARDED,) if config.weights == HUB else ()
    return Remote("mask2former.model", config.model, "DIR", config.model, (_CONFIG, *weights), whole=True)


def _on_hub(name: str) -> bool:
    """Return whether a name looks like a repository, and is not a folder."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None and not Path(name).is_dir()


def wss_remote(config: "WssConfig") -> Remote | None:
    """Find the weights that the WSS model takes from a hub; None if it takes no weights from there."""
    from dhr.models.wss.resnet38d import NAME

    if config.weights != HUB or config.backbone in (NONE, NAME):
        return None
    return timm_remote(config.backbone, "wss.weights")


def uss_remote(config: "UssConfig") -> Remote | None:
    """Find the weights that the USS model takes from a hub; None if it takes no weights from there.

    A checkpoint of a head may hold the network below it, which is seen when it is read.
    """
    from dhr.models.uss.head_file import is_head

    below = config.head is not None and (config.kind == "cause" or is_head(Path(config.head)))
    if config.weights != HUB or not (config.kind == "timm" or below):
        return None
    return timm_remote(config.model, "uss.weights")


def cached(remote: Remote) -> list[Path] | None:
    """Return its files, one of each group, if all are on this machine; the network is not used."""
    if remote.url:
        path = _torch_cache() / PurePosixPath(urlparse(remote.url).path).name
        return [path] if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = []
    for group in remote.groups:
        places = [try_to_load_from_cache(remote.repository, name) for name in group]
        here = next((Path(place) for place in places if isinstance(place, str)), None)
        if here is None or lacking(here):
            return None
        found.append(here)
    return found


def lacking(index: Path) -> str | None:
    """Return the first file of weights that a list of them names, and that is not beside it; None if all are there.

    Args:
        index: `model.safetensors.index.json`, or another file, which lists nothing.
    """
    if not index.name.endswith(".index.json"):
        return None
    try:
        names = set(parse_json(read_regular(index, _INDEX_BYTES).decode())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return index.name
    return next((name for name in sorted(map(str, names)) if not (index.parent / name).is_file()), None)


def reason(error: BaseException, repository: str = "") -> str:
    """Return why a model cannot be read, in one line; for a model that its authors give out on request, how to get it.

    Args:
        error: of a client of the hub, or of transformers, which wraps it.
        repository: of the model, on the hub.
    """
    from huggingface_hub.errors import GatedRepoError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GatedRepoError):
            return (
                f"its authors grant access on request: accept the licence at https://huggingface.co/{repository}, then "
                "log in with `hf auth login`"
            )
        cause = cause.__cause__ or cause.__context__
    return one_line(error)


def unreachable(remote: Remote) -> str | None:
    """Return why its server cannot be reached; None if it answers."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    address = remote.url or constants.ENDPOINT
    try:
        get_session().head(address, timeout=PATIENCE)
    except Exception as error:  # clients raise any exception
        server = urlparse(address).netloc
        return f"{server} does not answer ({one_line(error, 100)}); with HF_HUB_OFFLINE=1 it is not asked"
    return None


_DOWNLOAD = "where there is a network, `dhr models --download` fetches them"
COPY = "run this where there is a network, and copy the folder that it prints"


def require(remotes: Sequence[Remote | None], remedy: str = _DOWNLOAD) -> None:
    """Check that weights are on this machine or can be downloaded, before other work begins.

    Args:
        remotes: the weights; None stands for no weights.
        remedy: another way to get them, for the message.

    Raises:
        WeightsError: some are missing and their server cannot be reached; the message names all of them.
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
            "weights are needed by `dhr demo`, nor by --uss.kind colour with --wss.weights none (rougher masks); "
            "--recipe small needs the smallest ones"
        )


def fetch(remote: Remote) -> list[Path]:
    """Return its files; those that are missing are downloaded.

    Raises:
        WeightsError: the download failed.
    """
    if (found := cached(remote)) is not None:
        return found
    require([remote])
    try:
        if remote.url:
            return [_fetch_url(remote.url)]
        if remote.whole:
            from huggingface_hub import snapshot_download

            # Skip the formats that transformers does not prefer.
            snapshot_download(remote.repository, ignore_patterns=["*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx/*"])
            found = cached(remote)
            if found is None:
                raise FileNotFoundError("it holds no weights that transformers can read")
            return found
        return [_fetch_one(remote.repository, group) for group in remote.groups]
    except Exception as error:  # clients raise any exception
        raise WeightsError(
            f"cannot download the weights of {remote.model!r} ({reason(error, remote.repository)}); name local files: "
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
    """Arguments for transformers' `from_pretrained`: weights on this machine are read without a server.

    Raises:
        WeightsError: it is missing, and its server cannot be reached.
    """
    if remote is None:
        return {"local_files_only": True}
    require([remote])
    return {"local_files_only": cached(remote) is not None}
