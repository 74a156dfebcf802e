"""The source of features: equal keys mean equal features."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from xxhash import xxh3_128

import dhr
from dhr.models.precision import Resolved
from dhr.models.uss import UssConfig, UssModel

MEANING = 2
"""Version: increased when the same settings give other features."""

_LIBRARIES = ("torch", "timm")


@dataclass(frozen=True)
class Source:
    """Everything that features depend on, except the photograph."""

    key: str
    """SHA-256, in hex, of :attr:`about`."""
    about: dict[str, Any]
    """Settings, digest of the network, versions; JSON."""

    @staticmethod
    def of(uss: UssModel, config: UssConfig, stride: int, precision: Resolved = "float32") -> "Source":
        """Describe a loaded model; weights count by content, not by where they come from.

        Args:
            stride: pixels of the image per cell of the grid.
            precision: of the network's products.
        """
        settings = asdict(config)
        for name in ("weights", "head"):
            settings.pop(name)
        about = {
            "meaning": MEANING,
            "uss": settings,
            "model": type(uss).__name__,
            "network": network_digest(uss),
            "grid_stride": stride,
            "precision": precision,
            "versions": {"dhr": dhr.__version__, **{name: version(name) for name in _LIBRARIES}},
        }
        text = json.dumps(about, sort_keys=True)
        return Source(hashlib.sha256(text.encode()).hexdigest(), json.loads(text))

    def reduced(self, name: str) -> "Source":
        """Return the source of reduced features (:attr:`dhr.features.pack.Reduction.name`)."""
        if not name:
            return self
        return Source(hashlib.sha256(f"{self.key} {name}".encode()).hexdigest(), {**self.about, "reduction": name})


def network_digest(uss: UssModel | nn.Module) -> str:
    """SHA-256, in hex, of all parameters and buffers of a network, by name."""
    if isinstance(uss, nn.Module):
        tensors = {**dict(uss.named_parameters()), **dict(uss.named_buffers())}
    else:
        tensors = {name: value for name, value in vars(uss).items() if isinstance(value, Tensor)}
    whole = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        whole.update(value.flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()


def image_digest(image: Float[Tensor, "1 3 h w"]) -> str:
    """XXH3 (128 bits), in hex, of the pixels that the model gets: decoded, upright, and shrunk.

    A photograph that was renamed or compressed again without loss keeps its features; one with other pixels does not.
    """
    pixels = image[0].float().contiguous().numpy()
    whole = xxh3_128(f"{pixels.shape}\n".encode())
    whole.update(pixels.data)
    return whole.hexdigest()
