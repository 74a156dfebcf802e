"""Views in overlapping windows."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dhr.errors import ConfigError
from dhr.models import views
from dhr.models.uss import UssConfig, build_uss
from dhr.models.views import average_views
from dhr.models.windows import Windows, layout, weights, window_starts


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
        lambda one: (one.square(),), picture, [(height, width)], (1.0,), flip, Windows(window, overlap)
    )
    torch.testing.assert_close(maps, picture.square(), atol=1e-5, rtol=1e-5)


def test_the_model_sees_windows_only_and_all_of_the_view() -> None:
    seen, picture = torch.zeros(100, 150), image(100, 150)
    plain = torch.arange(100.0)[:, None] + 100 * torch.arange(150.0) + torch.zeros(1, 3, 100, 150)

    def watch(parts: Tensor) -> tuple[Tensor, ...]:
        assert parts.shape[1:] == (3, 48, 48)
        for corner in parts[:, 0, 0, 0].int().tolist():
            seen[corner % 100 : corner % 100 + 48, corner // 100 : corner // 100 + 48] += 1
        return (parts,)

    average_views(watch, plain, [(10, 15)], (1.0,), False, Windows(48, 0.5))
    assert seen.min() >= 1
    sizes = []
    average_views(lambda one: (sizes.append(one.shape) or one,), picture, [(10, 15)], (0.4,), True, Windows(96, 0.5))
    assert sizes == [(2, 3, 40, 60)], "a view that fits into a window is seen whole"


def test_no_seam_where_windows_disagree() -> None:
    """Each window answers a number of its own; neighbouring places differ by little for all that."""

    def loud(parts: Tensor) -> tuple[Tensor, ...]:
        assert len(parts) > 1
        return ((torch.arange(len(parts)) % 2)[:, None, None, None] + torch.zeros(1, 1, 64, 64),)

    (maps,) = average_views(loud, image(64, 160), [(64, 160)], (1.0,), False, Windows(64, 0.5))
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1
    assert float(maps.diff(dim=-1).abs().max()) < 0.05


@given(st.integers(1, 400), st.integers(1, 400), st.integers(32, 100), st.integers(1, 20), st.floats(0, 0.9))
def test_windows_of_whole_cells_cover_a_view(height: int, width: int, side: int, cell: int, overlap: float) -> None:
    parts = layout((height, width), Windows(side, overlap, cell))
    if parts.count == 1 and max(height, width) <= side:
        assert parts.size == (height, width)
        return
    seen = torch.zeros(parts.size)
    for window in range(parts.count):
        seen[parts.pixels(window)] += 1
        assert seen[parts.pixels(window)].shape == parts.window
    assert seen.min() >= 1
    assert all(number % cell == 0 for number in (*parts.size, *parts.window))
    for one, asked in zip(parts.size, (height, width), strict=True):
        assert abs(one - asked) <= max(cell / 2, cell - asked)
    for axis in (parts.down, parts.across):
        cells = axis.length // cell
        total = torch.zeros(axis.side // cell)
        for weight, start in zip(weights(axis, cells, torch.device("cpu")), axis.starts, strict=True):
            assert weight.min() > 0
            total[start // cell : start // cell + cells] += weight
        torch.testing.assert_close(total, torch.ones_like(total))


def test_cells_of_windows_that_do_not_meet_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not share a grid"):
        average_views(lambda one: (one[..., ::5, ::5],), image(64, 160), [], (1.0,), False, Windows(64, 0.5, 4))


@pytest.mark.parametrize("windows", [None, Windows(64, 0.5, 16)])
@pytest.mark.parametrize("size", [(70, 90), (64, 200)])
def test_a_batch_gives_what_each_photograph_gives_alone(
    windows: Windows | None, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many windows of however many photographs go through the network at once."""
    torch.manual_seed(0)
    model = build_uss(UssConfig(model="test_vit", weights="none"))
    pictures = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(1))

    def averaged(images: Tensor) -> Tensor:
        return average_views(lambda one: (model(one),), images, [(9, 11)], (1.0, 2.0), True, windows)[0]

    single = torch.cat([averaged(one[None]) for one in pictures])
    for pixels in (1, 5 * 64 * 64 * 2, 1 << 24):
        monkeypatch.setattr(views, "_PIXELS", pixels)
        torch.testing.assert_close(averaged(pictures), single, atol=1e-5, rtol=1e-4)


def test_pixels_at_once_are_bounded() -> None:
    sizes: list[int] = []

    def watch(parts: Tensor) -> tuple[Tensor, ...]:
        sizes.append(parts.shape[0] * parts.shape[2] * parts.shape[3])
        return (parts[..., ::16, ::16],)

    average_views(watch, torch.rand(2, 3, 640, 1280), [(4, 8)], (1.0,), True, Windows(224, 0.25, 16))
    average_views(watch, torch.rand(9, 3, 640, 640), [(4, 4)], (1.0,), True)
    assert max(sizes) <= 1 << 20
    assert len(sizes) > 4


def test_maps_without_a_grid_have_the_resolution_of_a_window() -> None:
    (maps,) = average_views(lambda one: (one[..., ::4, ::4],), image(96, 160), [], (1.0,), False, Windows(64, 0.5, 4))
    assert maps.shape == (1, 3, 24, 40)


def test_a_grid_coarser_than_the_windows() -> None:
    (maps,) = average_views(
        lambda one: (one,), torch.full((1, 3, 300, 40), 0.25), [(2, 1)], (1.0,), True, Windows(32, 0.5)
    )
    torch.testing.assert_close(maps, torch.full((1, 3, 2, 1), 0.25))


@pytest.mark.parametrize("size", [(33, 47), (32, 300), (200, 90)])
def test_a_transformer_in_windows(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build_uss(UssConfig(model="test_vit", weights="none"))
    grid = (size[0] // 8, size[1] // 8)
    (maps,) = average_views(lambda one: (model(one),), image(*size), [grid], (1.0, 2.0), True, Windows(64, 0.5, 16))
    assert maps.shape == (1, model.dim, *grid)
    assert maps.isfinite().all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"window": 16}, "uss.window"), ({"overlap": 0.95}, "uss.overlap")],
)
def test_settings_that_cannot_work(changed: dict[str, object], said: str, unchecked: None) -> None:
    with pytest.raises(ConfigError, match=said):
        UssConfig(**changed)  # type: ignore[arg-type]
