"""A folder of features that many processes read and fill at the same time; see docs/features.md.

    STORE/store.json                     settings: bits, axes, limit
    STORE/basis.safetensors              the axes, if features are reduced
    STORE/SOURCE/source.json             settings, network and versions of the features below
    STORE/SOURCE/xx/IMAGE.safetensors    features of a photograph; xx are the first letters of IMAGE

Filling needs no locks: entries are written atomically, and two writers of one entry write the same bytes.
"""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor

from dhr.errors import ConfigError, ItemError, OutputError, PlaceError
from dhr.features.entry import Shape, entry_bytes, read_entry
from dhr.features.limit import ENTRY_SUFFIX, DiskLimit, note_use
from dhr.features.pack import Packed, Reduction
from dhr.features.settings import StoreConfig
from dhr.features.source import Source
from dhr.files import TEMPORARY_SUFFIX, inside, remove, write_bytes, write_json
from dhr.parsing import MAX_RECORD, Fields, load_json
from dhr.tensors import check_finite, check_kinds, check_shapes, read_tensors

LAYOUT = 1
"""Version of the folder's format."""
_MOST_CHANNELS = 100_000
_MAX_BASIS = 4_000_000_000  # bytes


@dataclass(frozen=True)
class Kept:
    """The content of ``store.json``."""

    bits: Literal[8, 16]
    pca: int
    limit: int | None
    """Bytes."""

    @staticmethod
    def parse(value: Any) -> "Kept":
        """Check the value of ``store.json``.

        Raises:
            ValueError: it has another format.
        """
        found = Fields(value)
        layout = found.whole("layout", 1, 1_000_000)
        if layout != LAYOUT:
            raise ValueError(f"layout {layout}, expected {LAYOUT}")
        bits, limit = found.whole("bits", 8, 16), found.value("limit")
        if bits not in (8, 16):
            raise ValueError(f"bits: expected 8 or 16, got {bits}")
        return Kept(
            8 if bits == 8 else 16,
            found.whole("pca", 0, _MOST_CHANNELS),
            None if limit is None else found.whole("limit", 1, 1 << 62),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the value of ``store.json``."""
        return {"layout": LAYOUT, "bits": self.bits, "pca": self.pca, "limit": self.limit}


@dataclass
class FeatureStore:
    """Reads and keeps features; use :meth:`open`."""

    root: Path
    bits: Literal[8, 16]
    pca: int
    reduction: Reduction | None
    """None while a store that reduces features has no axes."""
    disk: DiskLimit
    damaged: list[str] = field(default_factory=list)
    """Entries that were damaged and deleted, one line each."""

    @staticmethod
    def open(root: Path, asked: StoreConfig | None = None) -> "FeatureStore":
        """Open the store in a folder, or make one.

        Args:
            asked: settings of the store.

        Raises:
            ConfigError: the store has other settings.
            OutputError: the folder cannot be written, holds something else, or is damaged.
        """
        asked = asked or StoreConfig()
        path = root / "store.json"
        if not path.is_file():
            _refuse_foreign(root)
            new = Kept(asked.bits or 16, asked.pca or 0, asked.limit_bytes())
            if not _write_new(path, (json.dumps(new.as_json(), indent=2) + "\n").encode()):
                return FeatureStore.open(root, asked)  # another process made it meanwhile
        kept = _read_settings(path)
        for name in ("bits", "pca"):
            wanted = getattr(asked, name)
            if wanted is not None and wanted != getattr(kept, name):
                raise ConfigError(
                    f"{root} was made with --{name} {getattr(kept, name)}, asked is --{name} {wanted}; choose another "
                    f"--features, or leave --{name} out"
                )
        if asked.limit is not None and asked.limit_bytes() != kept.limit:
            kept = replace(kept, limit=asked.limit_bytes())
            write_json(path, kept.as_json())
        return FeatureStore(root, kept.bits, kept.pca, _reduction(root, kept), DiskLimit(root, kept.limit))

    def path(self, source: Source, image: str) -> Path:
        """Return the path of the features of a photograph."""
        return inside(self.root, self._place(source, image), may_be_link=True)

    def read(self, source: Source, image: str, shape: Shape | None = None) -> Packed | None:
        """Read the features of a photograph; None if they are not kept. A damaged entry is noted and deleted.

        Args:
            shape: required channels and grid.
        """
        path = self.path(source, image)
        try:
            packed = read_entry(path, source.key, image, shape)
        except ItemError as error:
            self.damaged.append(str(error))
            try:
                remove(self.root, self._place(source, image))
            except OutputError:  # a read-only store keeps the damaged entry, which is never used
                return None
            return None
        if packed is not None:
            note_use(path)
        return packed

    def add(self, source: Source, image: str, packed: Packed) -> bool:
        """Keep the features of a photograph; return False if the store is read-only, or their name is taken.

        Raises:
            OutputError: the disk is full, or refuses.
        """
        if not os.access(self.root, os.W_OK):
            return False
        content = entry_bytes(packed, source.key, image)
        try:
            about = inside(self.root, f"{source.key[:16]}/source.json", may_be_link=True)
            if not about.is_file():
                write_json(about, {"key": source.key, **source.about})
            # Not flushed to the disk: after a power cut, the checksum reveals a partial entry.
            write_bytes(self.path(source, image), content, durable=False)
        except PlaceError as error:
            self.damaged.append(str(error))
            return False
        self.disk.added(len(content))
        return True

    def set_basis(self, basis: Tensor, network: str) -> None:
        """Write the axes of a network, unless another process was faster; then its axes are used.

        Raises:
            OutputError: the disk refuses.
        """
        _write_new(self.root / "basis.safetensors", save({"basis": basis}, {"network": network}))
        self.reduction = _reduction(self.root, Kept(self.bits, self.pca, None))

    def _place(self, source: Source, image: str) -> str:
        return f"{source.key[:16]}/{image[:2]}/{image}{ENTRY_SUFFIX}"


def known_reduction(root: Path) -> str | None:
    """Return the name of the reduction of the store in ``root``: "" without one, None if there is no store.

    Raises:
        OutputError: the store is damaged.
    """
    path = root / "store.json"
    if not path.is_file():
        return None
    reduction = _reduction(root, _read_settings(path))
    return "without axes" if reduction is None else reduction.name


def _read_settings(path: Path) -> Kept:
    try:
        return Kept.parse(load_json(path, MAX_RECORD))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{path} is not from a feature store of this program ({reason}); choose another --features, or delete "
            "the folder"
        ) from error


def _reduction(root: Path, kept: Kept) -> Reduction | None:
    if not kept.pca:
        return Reduction(kept.bits)
    path = root / "basis.safetensors"
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_tensors(path, _MAX_BASIS)
        check_shapes(tensors, {"basis": (kept.pca, None)})
        check_kinds(tensors, {"basis": (torch.float32,)})
        check_finite(tensors)
        network = Fields(metadata).text("network")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path} is damaged ({reason}); delete the store, {root}, and fill it again") from error
    return Reduction(kept.bits, tensors["basis"].clone(), network)


def _refuse_foreign(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        foreign = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise OutputError(
            f"cannot make the feature store {root} ({error.strerror}); choose another --features"
        ) from error
    if foreign and not (root / "store.json").is_file():
        raise OutputError(
            f"{root} holds files that do not belong to a feature store ({', '.join(foreign[:3])}); "
            "choose an empty or new folder with --features"
        )


def _write_new(path: Path, content: bytes) -> bool:
    """Write a new file; return False, without a change, if it exists."""
    own = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        write_bytes(own, content)
        try:
            os.link(own, path)
        except FileExistsError:
            return False
        except OSError:  # without hard links, the last of two simultaneous writers wins
            if path.is_file():
                return False
            own.replace(path)
        return True
    finally:
        own.unlink(missing_ok=True)
