"""Pixels that a person has drawn: they are held fixed through all steps, as seeds and as a prior."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from dhr.ops.upsample import area_average


@dataclass(frozen=True)
class Held:
    """The parts of images that were drawn for each class; the rest is free. Over the classes they sum to at most 1."""

    cells: Float[Tensor, "b k n"]
    """Share of each position of the grid."""
    pixels: Float[Tensor, "b k H W"]
    """Share of each pixel of the masks."""

    @staticmethod
    def of(
        drawn: Float[Tensor, "b k _ _"], valid: Bool[Tensor, "b k"], grid: tuple[int, int], size: tuple[int, int]
    ) -> "Held":
        """Resample drawn shares of any size; padding holds nothing."""
        real = drawn * valid[:, :, None, None]
        return Held(area_average(real, grid).flatten(2), area_average(real, size))

    @property
    def shares(self) -> Float[Tensor, "b k"]:
        """Share of the image that was drawn for each class."""
        return self.cells.mean(dim=2)


def fixed(values: Float[Tensor, "b k *s"], held: Float[Tensor, "b k *s"] | None) -> Float[Tensor, "b k *s"]:
    r"""Replace the drawn part of each place: :math:`h_k + (1 - \sum_l h_l) v_k`; unchanged where nothing is drawn.

    >>> import torch
    >>> values, held = torch.tensor([[[0.2, 0.6], [0.8, 0.4]]]), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    >>> fixed(values, held)[0].tolist()
    [[1.0, 0.6000000238418579], [0.0, 0.4000000059604645]]
    """
    if held is None:
        return values
    free = (1 - held.sum(dim=1, keepdim=True)).clamp_min(0)
    return held + free * values
