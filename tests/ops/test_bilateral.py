import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.errors import ShapeError
from dhr.ops.bilateral import bilateral_upsample


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_the_equation(maps: Tensor, image: Tensor, grid: tuple[int, int], r: int, s: float, c: float) -> np.ndarray:
    """One place after another, as the equation is read."""
    d, u, v = maps.shape
    colours = [
        interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0].numpy()
        for size in ((u, v), grid)
    ]
    coarse, fine = colours
    out = np.zeros((d, *grid))
    for i in range(grid[0]):
        for j in range(grid[1]):
            y, x = (i + 0.5) * u / grid[0], (j + 0.5) * v / grid[1]
            total = 0.0
            for cy in range(int(y) - r, int(y) + r + 1):
                for cx in range(int(x) - r, int(x) + r + 1):
                    ey, ex = min(max(cy, 0), u - 1), min(max(cx, 0), v - 1)  # borders are repeated
                    far = (y - cy - 0.5) ** 2 + (x - cx - 0.5) ** 2
                    unlike = ((fine[:, i, j] - coarse[:, ey, ex]) ** 2).sum()
                    weight = math.exp(-far / (2 * s * s) - unlike / (2 * c * c))
                    out[:, i, j] += weight * maps[:, ey, ex].numpy()
                    total += weight
            out[:, i, j] /= total
    return out


@pytest.mark.parametrize(
    ("coarse", "fine"), [((4, 5), (9, 13)), ((3, 3), (12, 12)), ((1, 1), (4, 3)), ((5, 7), (5, 7))]
)
def test_it_is_the_equation(coarse: tuple[int, int], fine: tuple[int, int]) -> None:
    maps, image = random(1, 2, *coarse), random(1, 3, 24, 30, seed=1)
    found = bilateral_upsample(maps, image, fine, radius=1, spread=0.8, contrast=0.3)
    np.testing.assert_allclose(found[0].numpy(), by_the_equation(maps[0], image[0], fine, 1, 0.8, 0.3), atol=1e-12)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 20), st.integers(1, 20), st.integers(0, 3))
def test_values_stay_in_their_range(u: int, v: int, p: int, q: int, radius: int) -> None:
    maps = random(2, 3, u, v, seed=u + v)
    found = bilateral_upsample(maps, random(2, 3, 16, 16, seed=p), (p, q), radius)
    assert found.shape == (2, 3, p, q)
    assert bool((found >= maps.amin() - 1e-12).all() and (found <= maps.amax() + 1e-12).all())


def test_an_edge_of_the_image_is_an_edge_of_the_maps() -> None:
    """A thing narrower than a cell, which interpolation blurs, gets its values from the cells that it fills."""
    image = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    image[..., 20:] = 1  # the border lies within the cells of columns 16..32
    maps = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    maps[..., 2:] = 1
    maps[..., 1] = 0.75  # a cell that holds three quarters of it
    truth = image[:, :1]
    sharp = bilateral_upsample(maps, image, (64, 64), contrast=0.1)
    smooth = interpolate(maps, (64, 64), mode="bilinear", align_corners=False)
    assert float((sharp - truth).abs().mean()) < 0.6 * float((smooth - truth).abs().mean())


def test_images_of_a_batch_do_not_touch() -> None:
    maps, images = random(3, 2, 4, 5), random(3, 3, 16, 20)
    together = bilateral_upsample(maps, images, (8, 10))
    for index in range(3):
        one = bilateral_upsample(maps[index : index + 1], images[index : index + 1], (8, 10))
        torch.testing.assert_close(one[0], together[index])


def test_mirrored_in_mirrored_out() -> None:
    maps, images = random(1, 2, 4, 5), random(1, 3, 16, 20)
    mirrored = bilateral_upsample(maps.flip(-1), images.flip(-1), (8, 10))
    torch.testing.assert_close(mirrored.flip(-1), bilateral_upsample(maps, images, (8, 10)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_numbers(dtype: torch.dtype) -> None:
    maps, images = random(1, 2, 4, 5), random(1, 3, 16, 20)
    found = bilateral_upsample(maps.to(dtype), images.float(), (8, 10))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), bilateral_upsample(maps, images, (8, 10)), atol=0.02, rtol=0.02)


def test_places_that_look_like_nothing_around_take_their_cell() -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[..., 3, 3] = 1
    maps = random(1, 2, 2, 2).float()
    found = bilateral_upsample(maps, image, (16, 16), contrast=0.01)
    assert found.isfinite().all()
    torch.testing.assert_close(found[..., 3, 3], maps[..., 0, 0])


def test_nothing_waits_and_nothing_is_changed(no_sync, unchecked) -> None:
    maps, images = random(1, 2, 4, 5), random(1, 3, 16, 20)
    copies = maps.clone(), images.clone()
    with no_sync:
        bilateral_upsample(maps, images, (8, 10))
    assert torch.equal(maps, copies[0]) and torch.equal(images, copies[1])


def test_an_image_for_each(unchecked) -> None:
    with pytest.raises(ShapeError, match="got 3 for 2"):
        bilateral_upsample(random(2, 2, 4, 5), random(3, 3, 16, 20), (8, 10))
