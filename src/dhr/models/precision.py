"""The precision of the networks: 32 bits, or 16 where the device is faster with them."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, get_args

from dhr.errors import ConfigError

if TYPE_CHECKING:
    import torch

Resolved = Literal["float32", "bfloat16", "float16"]
"""A type of numbers."""
Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""The setting; `auto` is resolved by the device."""
_TENSOR_CORES = (7, 0)  # first CUDA capability that multiplies float16 faster than float32


def check_precision(precision: str) -> None:
    """Refuse a value that is not a :data:`Precision`.

    Raises:
        ConfigError: there is no such precision.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision must be one of {', '.join(get_args(Precision))}; got {precision!r}")


def resolved(precision: Precision, device: "torch.device") -> Resolved:
    """Return the type of numbers in which networks compute on ``device``.

    `auto` is bfloat16 where the device multiplies it faster than float32: CPUs with AVX512-BF16 or AMX, and GPUs since
    Ampere. It is float16 on older GPUs with tensor cores, and float32 elsewhere.
    """
    if precision != "auto":
        return precision
    if device.type == "cpu":
        return fastest("cpu", bfloat16=cpu_has_bfloat16(), float16=False)
    if device.type == "cuda":
        import torch

        capability = torch.cuda.get_device_capability(device)
        return fastest("cuda", bfloat16=capability >= (8, 0), float16=capability >= _TENSOR_CORES)
    return "float32"


def fastest(kind: str, *, bfloat16: bool, float16: bool) -> Resolved:
    """Choose by what a device multiplies faster than float32.

    bfloat16 comes first, because it has float32's range: features of large networks can overflow float16.

    >>> fastest("cuda", bfloat16=False, float16=True), fastest("cpu", bfloat16=False, float16=True)
    ('float16', 'float32')
    """
    if bfloat16:
        return "bfloat16"
    return "float16" if float16 and kind == "cuda" else "float32"


def cpu_has_bfloat16() -> bool:
    """Return whether PyTorch multiplies bfloat16 in hardware here; emulated, it is slower than float32."""
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if hasattr(torch.cpu, "get_capabilities"):  # since PyTorch 2.10
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(precision: Resolved, device: "torch.device") -> AbstractContextManager[None]:
    """Compute products and convolutions in ``precision`` while it lasts; float32 changes nothing.

    Results may have 16 bits; callers turn them into float32.
    """
    import torch

    kind = torch.float32 if precision == "float32" else getattr(torch, precision)
    context: AbstractContextManager[None] = torch.autocast(device.type, kind, enabled=precision != "float32")
    return context
