"""Features in fewer bytes: half precision or 8 bits, and fewer channels along principal axes."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.errors import ConfigError

Bits = Literal[8, 16]


@dataclass(frozen=True)
class Packed:
    """Kept features of a photograph: ``values * scale``."""

    values: Tensor
    """(d, u, v), half precision or int8."""
    scale: Float[Tensor, "c 1 1"]
    """Float32: a single power of two for half precision, which costs no digits; one per channel for 8 bits."""

    def unpacked(self, device: torch.device) -> Float[Tensor, "1 d u v"]:
        """Return the features, float32, on a device."""
        return self.values.to(device).float().mul_(self.scale.to(device)).unsqueeze(0)

    def to(self, device: torch.device) -> "Packed":
        """Move it to a device."""
        return Packed(self.values.to(device), self.scale.to(device))


def pack(features: Float[Tensor, "1 d u v"], bits: Bits = 16) -> Packed:
    """Pack finite features in half precision (relative error up to 2**-11), or 8 bits scaled to the range of a channel.

    They stay on their device.
    In half precision, which ends at 65504, the largest number is scaled to 2**14..2**15.

    >>> maps = torch.tensor([1e6, 3.0]).view(1, 2, 1, 1)
    >>> pack(maps).unpacked(torch.device("cpu")).flatten().tolist()
    [999936.0, 3.0]
    """
    values = features[0].detach().float()
    if bits == 16:
        exponent = torch.frexp(values.abs().amax()).exponent.clamp(-100, 126)
        scale = torch.ldexp(values.new_ones(()), exponent - 15).view(1, 1, 1)
        return Packed((values / scale).half().contiguous(), scale)
    scale = (values.abs().amax(dim=(1, 2), keepdim=True) / 127).clamp_min(1e-30)
    return Packed((values / scale).round().to(torch.int8).contiguous(), scale.contiguous())


@dataclass(frozen=True)
class Reduction:
    """Changes of features before they are kept; the same for a whole store."""

    bits: Bits = 16
    basis: Float[Tensor, "k d"] | None = None
    """Principal axes, orthonormal rows."""
    network: str = ""
    """Digest of the network of these axes."""

    def __call__(self, features: Float[Tensor, "1 d u v"]) -> Packed:
        """Reduce and pack."""
        if self.basis is not None:
            features = torch.einsum("kd,bduv->bkuv", self.basis.to(features.device), features.float())
        return pack(features, self.bits)

    @property
    def name(self) -> str:
        """Name for keys; empty if features are the same as in a run without a store."""
        if self.bits == 16 and self.basis is None:
            return ""
        axes = b"" if self.basis is None else self.basis.contiguous().numpy().tobytes()
        return "sha256:" + hashlib.sha256(f"{self.bits} ".encode() + axes).hexdigest()


class Axes:
    """Sums up features, to find their principal axes.

    The method compares features by cosines, so directions are summed up and no mean is subtracted: these axes keep the
    products of directions best.
    """

    def __init__(self) -> None:
        self._moment: Tensor | None = None

    def add(self, features: Float[Tensor, "1 d u v"]) -> None:
        """Add a photograph."""
        cells = torch.nn.functional.normalize(features[0].float().flatten(1), dim=0)
        moment = (cells @ cells.T).double().cpu() / cells.shape[1]
        self._moment = moment if self._moment is None else self._moment + moment

    def first(self, count: int) -> Float[Tensor, "k d"]:
        """Return the axes of most variance, each with its largest number positive.

        Raises:
            ConfigError: the features have no more channels than that, or no photograph was added.
        """
        if self._moment is None:
            raise ConfigError("--pca: no photograph can be read, so there are no axes")
        if count >= len(self._moment):
            raise ConfigError(f"--pca must be below the {len(self._moment)} channels of the features, got {count}")
        axes: Tensor = torch.linalg.eigh(self._moment).eigenvectors.flip(1).T[:count]
        signs = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)).sign()
        return (axes * signs).float().contiguous()
