"""Embeddings of photographs for a network that segments anything; a feature store keeps them beside the features."""

import hashlib
import json
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

import dhr
from dhr.features.pack import Packed, pack
from dhr.features.source import Source, image_digest, network_digest
from dhr.features.store import FeatureStore
from dhr.models.sam.network import Sam
from dhr.models.sam.protocol import Embedding
from dhr.prompts import Propose

MEANING = 1
"""Version: increased when the same network gives other embeddings."""


class Embeddings:
    """Embeddings of working images, from a store or from the network; for their users both are the same.

    Args:
        network: on its device.
        store: read first, and filled; None computes embeddings each time.
    """

    def __init__(self, network: Sam, store: FeatureStore | None = None) -> None:
        self.network, self.store = network, store

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The source of each map of an embedding."""
        return tuple(_source(self.network, level) for level in range(self.network.frame.levels))

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Embedding:
        """Return the embedding of working images, on the device.

        If the store lacks one of them, the network computes all, so that the results do not depend on what is there.

        Raises:
            OutputError: the disk of the store is full.
        """
        if self.store is None:
            return self.network.embed(images)
        digests = [image_digest(one[None].cpu()) for one in images]
        known = [self._read(self.store, digest) for digest in digests]
        size = (images.shape[-2], images.shape[-1])
        if all(known):
            levels = zip(*(one for one in known if one is not None), strict=True)
            maps = tuple(torch.cat([self._whole(packed) for packed in level]) for level in levels)
            return Embedding(maps, size)
        made = self.network.embed(images)
        for index, digest in enumerate(digests):
            if known[index] is None:
                for source, value in zip(self.sources, made.one(index).maps, strict=True):
                    self.store.add(source, digest, pack(value.float()))
        return made

    def propose(self, embedding: Embedding) -> Propose:
        """Return what proposes masks for the images of an embedding."""
        return partial(self.network.masks, embedding)

    def _read(self, store: FeatureStore, digest: str) -> list[Packed] | None:
        found = [store.read(source, digest) for source in self.sources]
        return None if any(one is None for one in found) else [one for one in found if one is not None]

    def _whole(self, packed: Packed) -> Tensor:
        return packed.unpacked(self.network.device).half()


def _source(network: Sam, level: int) -> Source:
    about: dict[str, Any] = {
        "meaning": MEANING,
        "model": type(network.network).__name__,
        "network": network_digest(network),
        "map": level,
        "precision": network.precision,
        "versions": {"dhr": dhr.__version__, **{name: version(name) for name in ("torch", "transformers")}},
    }
    return Source(hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest(), about)
