"""Views in overlapping windows."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dhr.errors import ConfigError
from dhr.models.uss import UssConfig, build_uss
from dhr.models.views import average_views, window_starts


def image(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height * width))


@given(st.integers(1, 400), st.integers(1, 100), st.floats(0, 0.9))
def test_windows_cover_a_side(side: int, window: int, overlap: float) -> None:
    starts = window_starts(side, window, overlap)
    assert starts[0] == 0
    assert starts[-1] + window >= side
    for one, following in pairwise(starts):
        assert one < following <= one + window
    assert all(0 <= start <= max(0, side - window) for start in starts)


@given(st.integers(32, 120), st.integers(32, 120), st.integers(32, 64), st.floats(0, 0.9), st.booleans())
def test_what_a_pixel_alone_decides_is_the_same_in_windows(
    height: int, width: int, window: int, overlap: float, flip: bool
) -> None:
    picture = image(height, width)
    (maps,) = average_views(
        lambda one: (one.square(),), picture, [(height, width)], (1.0,), flip, window=window, overlap=overlap
    )
    torch.testing.assert_close(maps, picture.square(), atol=1e-5, rtol=1e-5)


def test_the_model_sees_windows_only_and_all_of_the_view() -> None:
    seen, picture = torch.zeros(100, 150), image(100, 150)
    plain = torch.arange(100.0)[:, None] + 100 * torch.arange(150.0) + torch.zeros(1, 3, 100, 150)

    def watch(part: Tensor) -> tuple[Tensor, ...]:
        assert part.shape == (1, 3, 48, 48)
        corner = int(part[0, 0, 0, 0])
        seen[corner % 100 : corner % 100 + 48, corner // 100 : corner // 100 + 48] += 1
        return (part,)

    average_views(watch, plain, [(10, 15)], (1.0,), flip=False, window=48)
    assert seen.min() >= 1
    sizes = []
    average_views(lambda one: (sizes.append(one.shape) or one,), picture, [(10, 15)], (0.4,), flip=True, window=96)
    assert sizes == [(2, 3, 40, 60)], "a view that fits into a window is seen whole"


def test_no_seam_where_windows_disagree() -> None:
    """Each window answers a number of its own; neighbouring places differ by little for all that."""
    count = iter(range(100))

    def loud(part: Tensor) -> tuple[Tensor, ...]:
        return (torch.full((1, 1, 16, 16), float(next(count) % 2)),)

    (maps,) = average_views(loud, image(64, 160), [(64, 160)], (1.0,), flip=False, window=64)
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1
    assert float(maps.diff(dim=-1).abs().max()) < 0.05


def test_maps_without_a_grid_have_the_resolution_of_a_window() -> None:
    (maps,) = average_views(lambda one: (one[..., ::4, ::4],), image(96, 160), [], (1.0,), flip=False, window=64)
    assert maps.shape == (1, 3, 24, 40)


def test_a_grid_coarser_than_the_windows() -> None:
    (maps,) = average_views(lambda one: (one,), torch.full((1, 3, 300, 40), 0.25), [(2, 1)], (1.0,), True, window=32)
    torch.testing.assert_close(maps, torch.full((1, 3, 2, 1), 0.25))


@pytest.mark.parametrize("size", [(33, 47), (32, 300), (200, 90)])
def test_a_transformer_in_windows(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build_uss(UssConfig(model="test_vit", weights="none"))
    grid = (size[0] // 8, size[1] // 8)
    (maps,) = average_views(lambda one: (model(one),), image(*size), [grid], (1.0, 2.0), flip=True, window=64)
    assert maps.shape == (1, model.dim, *grid)
    assert maps.isfinite().all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"window": 16}, "uss.window"), ({"overlap": 0.95}, "uss.overlap")],
)
def test_settings_that_cannot_work(changed: dict[str, object], said: str, unchecked: None) -> None:
    with pytest.raises(ConfigError, match=said):
        UssConfig(**changed)  # type: ignore[arg-type]
