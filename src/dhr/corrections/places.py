"""Where the files of corrections are in the folder of a run, and how they are read, copied and removed."""

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dhr.errors import OutputError
from dhr.files import inside, is_own_file, read_regular, remove, write_bytes
from dhr.gone import keep_copy, put_aside
from dhr.records.run import RunRecord, read_run_leniently
from dhr.shards import place

ROOT = "corrections"
"""The folder of the corrections in the output folder of a run."""
LOCK = f"{ROOT}/lock"
"""Held while a correction is saved, and while a job begins."""
RUN_LOCK = "run.lock"
"""Held while a job works in the folder."""
MASKS, ITEMS, MACHINE = f"{ROOT}/masks", f"{ROOT}/items", f"{ROOT}/machine"
PNG, JSON, NEXT = ".png", ".json", ".png.next"

MAX_MASK = 1_000_000_000
"""Largest file of a mask, bytes: four times the pixels of the largest photographs."""


@dataclass(frozen=True)
class Places:
    """The files of photographs, by folder and name, in the output folder ``root`` of a run.

    Links are refused (OutputError): the folder may come from somebody else.
    """

    root: Path
    shards: bool | None = None
    """Whether the folder has shards; by default its `run.json` tells."""

    def run(self) -> RunRecord:
        """Return the record of the run, as far as it can be read."""
        path = self.root / "run.json"
        try:
            status = path.stat()
        except OSError:
            return RunRecord()
        return _run(path, status.st_mtime_ns, status.st_size)

    def relative(self, folder: str, name: str, suffix: str = PNG) -> str:
        """Return the place of a photograph's file, relative to the output folder."""
        return place(self.root, folder, name, suffix, self.run().shards if self.shards is None else self.shards)

    def path(self, folder: str, name: str, suffix: str = PNG) -> Path:
        """Return the place of a photograph's file."""
        return inside(self.root, self.relative(folder, name, suffix))

    def has(self, folder: str, name: str, suffix: str = PNG) -> bool:
        """Return whether the file exists."""
        return is_own_file(self.path(folder, name, suffix))

    def content(self, folder: str, name: str, suffix: str = PNG) -> bytes | None:
        """Return the content of a file; None if it does not exist.

        Raises:
            OutputError: it cannot be read.
        """
        path = self.path(folder, name, suffix)
        if not os.path.lexists(path):
            return None
        try:
            return read_regular(path, MAX_MASK)
        except FileNotFoundError:  # it was removed in between
            return None
        except OSError as error:
            raise OutputError(f"cannot read {path}: {error.strerror or error}; remove it, or restore it") from error

    def digest(self, folder: str, name: str, suffix: str = PNG) -> str:
        """Return the SHA-256 of a file, in hex; empty if it does not exist."""
        content = self.content(folder, name, suffix)
        return "" if content is None else hashlib.sha256(content).hexdigest()

    def write(self, content: bytes, folder: str, name: str, suffix: str = PNG) -> None:
        """Write a file atomically."""
        write_bytes(self.path(folder, name, suffix), content)

    def copy(self, source: str, target: str, name: str, suffix: str = PNG) -> None:
        """Copy a photograph's file to another folder, if it exists and differs from the one there."""
        content = self.content(source, name, suffix)
        if content is not None and content != self.content(target, name, suffix):
            self.write(content, target, name, suffix)

    def remove(self, folder: str, name: str, suffix: str = PNG) -> None:
        """Delete a file, if it exists."""
        remove(self.root, self.relative(folder, name, suffix))

    def keep_copy(self, folder: str, name: str, suffix: str = PNG) -> None:
        """Copy a file to ``gone/``, if it exists, and ``gone/`` holds no such copy."""
        content = self.content(folder, name, suffix)
        if content is not None:
            keep_copy(self.root, self.relative(folder, name, suffix), content)

    def put_aside(self, folder: str, name: str, suffix: str = PNG) -> None:
        """Move a file to ``gone/``, if it exists."""
        put_aside(self.root, self.relative(folder, name, suffix))


@lru_cache(4)
def _run(path: Path, changed: int, size: int) -> RunRecord:
    return read_run_leniently(path)
