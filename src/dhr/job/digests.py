"""Digests of files that masks depend on: weights, folders of networks, and maps."""

import hashlib
from pathlib import Path

from dhr.data.cam_files import SUFFIXES
from dhr.data.objects.record import FILES as OBJECT_FILES
from dhr.errors import ConfigError, WeightsError
from dhr.files import digest_regular

SHA256 = "sha256:"
MAX_WEIGHTS = 64_000_000_000
"""Largest file of weights, or of maps, bytes."""


def digest_file(path: Path, setting: str, before: str | None) -> str:
    """Return the digest of a file; of a missing one, the digest ``before``.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return SHA256 + digest_regular(path, MAX_WEIGHTS)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and before and before.startswith(SHA256):
            return before
        raise WeightsError(f"--{setting}: cannot read {path} ({error.strerror}); expected a file of weights") from error


def digest_maps(folder: Path, before: str | None) -> str:
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
