"""Digests of the files that settings name: a run is identified by their content."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dhr.data.cam_files import SUFFIXES
from dhr.data.objects.record import FILES as OBJECT_FILES
from dhr.errors import ConfigError, WeightsError
from dhr.files import digest_regular
from dhr.models.config import HUB, NONE, WORD_KINDS, WssConfig

SHA256 = "sha256:"
MAX_WEIGHTS = 64_000_000_000
"""Largest file of weights, or of maps, bytes."""


def source_identity(wss: WssConfig, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of a map source: its settings, files by content.

    Missing files count as those of the identity ``before``.

    Raises:
        WeightsError: a file of weights is missing.
        ConfigError: the folder of maps is missing.
    """
    settings = asdict(wss)
    if wss.kind in WORD_KINDS and Path(wss.backbone).is_dir():
        settings["backbone"] = digest_folder(Path(wss.backbone))
    if wss.kind != "boxes":
        settings.pop("segmenter")
    elif Path(wss.segmenter).is_dir():
        settings["segmenter"] = digest_folder(Path(wss.segmenter))
    maps = settings.pop("maps")
    if maps is not None:
        settings["maps"] = _digest_maps(maps, before.get("maps"))
    if wss.weights not in (HUB, NONE):
        settings["weights"] = digest_weights(wss.weights, "wss.weights", before.get("weights"))
    return settings


def digest_weights(weights: str, setting: str, before: str | None) -> str:
    """Return the digest of a file of weights, or of a folder of them; of a missing file the digest ``before``.

    Raises:
        WeightsError: it is missing.
    """
    place = Path(weights)
    return digest_folder(place) if place.is_dir() else digest_file(place, setting, before)


def digest_file(path: Path, setting: str, before: str | None) -> str:
    """Return the digest of a file of weights; of a missing one the digest ``before``.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return SHA256 + digest_regular(path, MAX_WEIGHTS)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and before and before.startswith(SHA256):
            return before
        raise WeightsError(f"--{setting}: cannot read {path} ({error.strerror}); expected a file of weights") from error


def _digest_maps(folder: Path, before: str | None) -> str:
    """Return the digest of all files of maps, by name and content."""
    if not folder.is_dir():
        if before:
            return before
        raise ConfigError(f"--wss.maps: there is no folder {folder}")
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.suffix in (*SUFFIXES, *OBJECT_FILES)):
        try:
            content = digest_file(file, "wss.maps", None)
        except WeightsError:  # only its photograph is left out
            content = "unreadable"
        whole.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return SHA256 + whole.hexdigest()


def digest_folder(path: Path) -> str:
    """Return the digest of the files that transformers reads in a folder: settings, weights and words."""
    whole = hashlib.sha256()
    for file in sorted(path.glob("*")):
        if file.suffix in (".json", ".safetensors", ".bin", ".txt", ".model"):
            whole.update(f"{file.name} {digest_file(file, 'mask2former.model', None)}".encode())
    return SHA256 + whole.hexdigest()
