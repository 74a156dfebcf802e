"""A folder of features that any number of processes read and fill at once; see docs/features.md.

    STORE/store.json                     what is kept how: bits, axes, limit
    STORE/basis.safetensors              the axes, if features are reduced
    STORE/SOURCE/source.json             settings, network and versions that the features below come from
    STORE/SOURCE/xx/IMAGE.safetensors    features of a photograph; xx are the first letters of IMAGE

No locks are needed to fill it: an entry gets its name when it is whole, and two writers of one entry write the same.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dhr.errors import ConfigError, ItemError, OutputError
from dhr.features.entry import entry_bytes, read_entry
from dhr.features.pack import Packed, Reduction
from dhr.features.room import ENTRY_SUFFIX, Room, note_use
from dhr.features.settings import StoreConfig
from dhr.features.source import Source
from dhr.files import write_bytes, write_json

LAYOUT = 1
"""Of the folder; a program that knows another one must not write here."""


@dataclass
class FeatureStore:
    """Reads and keeps features; made by :meth:`open`."""

    root: Path
    bits: int
    pca: int
    reduction: Reduction | None
    """None as long as a store that reduces features has no axes."""
    room: Room
    damaged: list[str] = field(default_factory=list)
    """What was found damaged, and dropped: one line each."""

    @staticmethod
    def open(root: Path, asked: StoreConfig | None = None) -> "FeatureStore":
        """The store in a folder, which is made if there is none.

        Args:
            asked: how features are to be kept.

        Raises:
            ConfigError: it keeps them in another way than is asked for.
            OutputError: the folder cannot be written, holds something else, or is damaged.
        """
        asked = asked or StoreConfig()
        path = root / "store.json"
        if not path.is_file():
            _refuse_foreign(root)
            kept: dict[str, Any] = {"layout": LAYOUT, "bits": asked.bits or 16, "pca": asked.pca or 0, "limit": None}
            if not _write_new(path, (json.dumps({**kept, "limit": asked.limit_bytes()}, indent=2) + "\n").encode()):
                return FeatureStore.open(root, asked)  # another process made it at the same time
        kept = _read_settings(path)
        for name in ("bits", "pca"):
            wanted = getattr(asked, name)
            if wanted is not None and wanted != kept[name]:
                raise ConfigError(
                    f"{root} was made with --{name} {kept[name]}, asked is --{name} {wanted}; choose another "
                    f"--features, or leave --{name} out"
                )
        if asked.limit is not None and asked.limit_bytes() != kept["limit"]:
            kept["limit"] = asked.limit_bytes()
            write_json(path, kept)
        return FeatureStore(
            root, kept["bits"], kept["pca"], _reduction(root, kept), Room(root, kept["limit"])
        )  # fmt: skip

    def path(self, source: Source, image: str) -> Path:
        """Where the features of a photograph are, or would be."""
        return self.root / source.key[:16] / image[:2] / f"{image}{ENTRY_SUFFIX}"

    def read(self, source: Source, image: str) -> Packed | None:
        """The features of a photograph; None if there are none. A damaged entry is noted, and gone."""
        path = self.path(source, image)
        try:
            packed = read_entry(path, source.key, image)
        except ItemError as error:
            self.damaged.append(str(error))
            self._drop(path)
            return None
        if packed is not None:
            note_use(path)
        return packed

    def add(self, source: Source, image: str, packed: Packed) -> bool:
        """Keep the features of a photograph; False if this process may only read the store.

        Raises:
            OutputError: the disk is full, or refuses.
        """
        if not os.access(self.root, os.W_OK):
            return False
        about = self.root / source.key[:16] / "source.json"
        if not about.is_file():
            write_json(about, {"key": source.key, **source.about})
        content = entry_bytes(packed, source.key, image)
        # Not forced to the disk: what a power cut leaves a part of is found by its checksum.
        write_bytes(self.path(source, image), content, durable=False)
        self.room.added(len(content))
        return True

    def set_basis(self, basis: Tensor, network: str) -> None:
        """Give axes of a network to a store that has none yet; if another process was faster, its axes are used.

        Raises:
            OutputError: the disk refuses.
        """
        _write_new(self.root / "basis.safetensors", save({"basis": basis}, {"network": network}))
        self.reduction = _reduction(self.root, {"bits": self.bits, "pca": self.pca})

    def _drop(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError:  # a store that can only be read: then the entry stays, and is never used
            return


def known_reduction(root: Path) -> str | None:
    """What the store in ``root`` does to features beyond half precision: "" if nothing, None if there is no store.

    Raises:
        OutputError: it is damaged.
    """
    path = root / "store.json"
    if not path.is_file():
        return None
    reduction = _reduction(root, _read_settings(path))
    return "without axes" if reduction is None else reduction.name


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_bytes())
        sound = kept["layout"] == LAYOUT and kept["bits"] in (8, 16) and isinstance(kept["pca"], int)
        if not sound or not isinstance(kept["limit"], int | None):
            raise ValueError(f"layout {kept['layout']!r}, this program knows {LAYOUT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{path} is not of a feature store of this program ({error}); choose another --features, or delete "
            "the folder"
        ) from error
    return dict(kept)


def _reduction(root: Path, kept: dict[str, Any]) -> Reduction | None:
    if not kept["pca"]:
        return Reduction(kept["bits"])
    path = root / "basis.safetensors"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            basis, network = file.get_tensor("basis").clone(), file.metadata()["network"]
        if basis.ndim != 2 or len(basis) != kept["pca"]:
            raise ValueError(f"axes {tuple(basis.shape)}, expected {kept['pca']}")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise OutputError(f"{path} is damaged ({error}); delete the store, {root}, and fill it anew") from error
    return Reduction(kept["bits"], basis, network)


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
            f"{root} holds things that are not of a feature store ({', '.join(foreign[:3])}); "
            "choose an empty or new folder with --features"
        )


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file that nobody has written yet; False, and nothing is changed, if somebody has."""
    own = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_bytes(own, content)
        try:
            os.link(own, path)
        except FileExistsError:
            return False
        except OSError:  # no hard links here: the last of two that come at once wins
            if path.is_file():
                return False
            own.replace(path)
        return True
    finally:
        own.unlink(missing_ok=True)
