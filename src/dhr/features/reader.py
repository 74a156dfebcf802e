"""Features of photographs, from a store or from the network; for their users both are the same."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.transforms import grid_size
from dhr.errors import ConfigError, ItemError
from dhr.features.compute import uss_maps
from dhr.features.entry import Shape, entry_bytes, read_entry
from dhr.features.pack import Packed, Reduction
from dhr.features.source import Source, image_digest
from dhr.features.store import FeatureStore
from dhr.files import write_bytes
from dhr.flow.loaded import Loaded
from dhr.models.precision import Resolved
from dhr.models.uss import UssConfig, UssModel


class Features:
    """USS features on the grid, rounded as a store keeps them, so that masks do not depend on whether there is a store.

    Args:
        uss: the model, on ``device``, in evaluation mode.
        stride: pixels of the working image per cell of the grid.
        store: read first, and filled; None computes features each time.
        precision: of the network's products.
    """

    def __init__(
        self,
        uss: UssModel,
        config: UssConfig,
        stride: int,
        device: torch.device,
        store: FeatureStore | None = None,
        precision: Resolved = "float32",
    ) -> None:
        self.precision: Resolved = precision
        self.uss, self.config, self.stride, self.device, self.store = uss, config, stride, device, store
        self.read = self.computed = self.unkept = 0

    @cached_property
    def source(self) -> Source:
        """Source of the features without reduction."""
        return Source.of(self.uss, self.config, self.stride, self.precision)

    @property
    def channels(self) -> int:
        """Number of channels after the reduction of the store."""
        basis = None if self.store is None or self.store.reduction is None else self.store.reduction.basis
        return self.uss.dim if basis is None else len(basis)

    @property
    def network(self) -> str:
        """Digest of the model's weights."""
        return str(self.source.about["network"])

    def account(self) -> dict[str, Any]:
        """Counts of features read and computed, for run.json."""
        damaged = [] if self.store is None else list(self.store.damaged)
        return {"read": self.read, "computed": self.computed, "not kept": self.unkept, "damaged": damaged}

    def check(self) -> None:
        """Check that the store, if any, can keep features of this model.

        Raises:
            ConfigError: it reduces features, but has no axes yet or those of another model.
        """
        if self.store is not None:
            self._source(self.store)

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Return the features of working images, on the device.

        Raises:
            ItemError: they are not finite.
            ConfigError: see :meth:`check`.
            OutputError: the disk of the store is full.
        """
        return torch.cat([one.get().unpacked(self.device) for one in self.packed(images)])

    def packed(self, images: Float[Tensor, "b 3 h w"]) -> list[Loaded[Packed]]:
        """Return the features of each working image as they are kept, or the reason why it has none (ItemError).

        If a store lacks one of them, the network computes all, so that the results do not depend on what is there.

        Raises:
            ConfigError: see :meth:`check`.
            OutputError: the disk of the store is full.
        """
        if self.store is None:
            return self._new(images, Reduction(), range(len(images)))
        source = self._source(self.store)
        digests = [image_digest(one[None].cpu()) for one in images]
        known = [self.store.read(source, digest, self.shape(images)) for digest in digests]
        self.read += sum(one is not None for one in known)
        if all(known):
            return [Loaded(one) for one in known]
        assert self.store.reduction is not None  # checked by _source
        missing = [index for index, one in enumerate(known) if one is None]
        found = [Loaded(one) for one in known]
        for index, loaded in zip(missing, self._new(images, self.store.reduction, missing), strict=True):
            found[index] = loaded
            if packed := loaded.ready:
                self.unkept += not self.store.add(source, digests[index], packed)
        return found

    def _new(self, images: Tensor, reduction: Reduction, wanted: Sequence[int]) -> list[Loaded[Packed]]:
        """Compute the features of all images, and return those of some."""
        maps = uss_maps(images.to(self.device), self.uss, self.config, self.stride, self.precision)
        finite = maps.isfinite().all(dim=1).flatten(1).all(dim=1).tolist()
        self.computed += sum(finite[index] for index in wanted)
        return [
            Loaded(reduction(maps[index : index + 1])) if finite[index] else Loaded(_error=_not_finite())
            for index in wanted
        ]

    def keep(self, image: Float[Tensor, "1 3 h w"], path: Path, known: Packed | None = None) -> None:
        """Write the features of a working image to ``path``: the known ones, else a link to the file of the store, or a
        copy.

        Raises:
            OutputError: the disk refuses; other errors are those of :meth:`__call__`.
        """
        packed = self.packed(image)[0].get() if known is None else known
        digest = image_digest(image.cpu())
        if self.store is not None and known is None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(self.store.path(self._source(self.store), digest))
                return
            except OSError:  # another disk, or the entry was deleted
                pass
        write_bytes(path, entry_bytes(packed, self._key, digest), durable=False)

    def kept(self, image: Float[Tensor, "1 3 h w"], path: Path) -> Packed | None:
        """Read features that :meth:`keep` wrote; None if they are missing, damaged, or of another image or network."""
        try:
            return read_entry(path, self._key, image_digest(image.cpu()), self.shape(image))
        except ItemError:
            return None

    def compute(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 d u v"]:
        """Compute the features, on the device, before rounding.

        Raises:
            ItemError: they are not finite.
        """
        maps = uss_maps(image.to(self.device), self.uss, self.config, self.stride, self.precision)
        if not bool(torch.isfinite(maps).all()):
            raise _not_finite()
        return maps

    def shape(self, images: Float[Tensor, "b 3 h w"]) -> Shape:
        """Channels, rows and columns of the features of each working image."""
        return (self.channels, *grid_size(images.shape[-2], images.shape[-1], self.stride))

    @property
    def _key(self) -> str:
        return self.source.key if self.store is None else self._source(self.store).key

    def _source(self, store: FeatureStore) -> Source:
        if store.reduction is None:
            raise ConfigError(
                f"{store.root} is to reduce features, but has no axes yet; fill it with dhr features --features "
                f"{store.root}"
            )
        if store.reduction.basis is not None and store.reduction.network != self.network:
            raise ConfigError(
                f"{store.root} reduces features along axes of another model (--pca); choose another --features"
            )
        return self.source.reduced(store.reduction.name)


def _not_finite() -> ItemError:
    return ItemError("its USS features hold NaN or infinity; check the weights, or those that were trained here")
