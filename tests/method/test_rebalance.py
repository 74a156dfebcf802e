"""The whole method: what must not matter to it, and what it must bear."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dhr.errors import ShapeError
from dhr.method.config import PRESETS, BoundaryConfig, MethodConfig, PamrConfig
from dhr.ops.upsample import resize
from dhr.types import Rebalanced

from .whole import rebalance

PLAIN = BoundaryConfig(kind="none", base="none")
QUICK = BoundaryConfig(kind="pamr", pamr=PamrConfig(iterations=3, dilations=(1, 2, 4)))
VARIANTS: dict[str, MethodConfig] = {
    **PRESETS,
    "uniform": replace(PRESETS["default"], marginal="uniform"),
    "product": replace(PRESETS["default"], combine="product", tau=0.5, rounds=2),
    "mean": replace(PRESETS["paper"], combine="mean"),
    "weight": replace(PRESETS["default"], uss_weight=0.3),
    "level": replace(PRESETS["default"], background_level=0.4),
    "hard": replace(PRESETS["default"], eps=0.01, marginal="estimated", smallest_ratio=0.0),
}
every_variant = pytest.mark.parametrize("name", VARIANTS)

OVER_CLASSES = ("activation", "seed", "initial", "inter", "intra", "joined", "scores", "ratios", "kept", "valid")
OVER_PIXELS = ("mask", "base", "confidence")


def close(result: Tensor, expected: Tensor, atol: float = 1e-6) -> None:
    if result.dtype.is_floating_point:
        torch.testing.assert_close(result, expected, rtol=0, atol=atol)
    else:
        assert torch.equal(result, expected)


def same(result: Rebalanced, expected: Rebalanced) -> None:
    for part in fields(Rebalanced):
        close(getattr(result, part.name), getattr(expected, part.name))


def reordered(result: Rebalanced, order: list[int]) -> Rebalanced:
    """What the method should have given, had class ``order[i]`` been class i."""
    place = torch.full((1024,), -1)
    place[torch.tensor(order)] = torch.arange(len(order))
    return replace(
        result,
        **{name: getattr(result, name)[:, order] for name in OVER_CLASSES},
        groups=result.groups[:, order][:, :, order],
        mask=place[result.mask],
        base=place[result.base],
        order=place[result.order],
    )


def sound(result: Rebalanced, name: str = "default") -> None:
    """What holds of every result."""
    b, k = result.valid.shape
    assert result.mask.shape == result.confidence.shape == result.scores[:, 0].shape
    assert result.scores.shape[:2] == result.seed.shape[:2] == result.groups.shape[:2] == (b, k)
    for part in fields(Rebalanced):
        value = getattr(result, part.name)
        assert not value.requires_grad, part.name
        assert value.isfinite().all(), part.name
        if part.name in OVER_CLASSES and part.name != "valid":
            assert (value[~result.valid] == 0).all(), part.name
            assert value.min() >= 0, part.name
    assert result.valid.gather(1, result.mask.flatten(1)).all(), "a pixel of a padded class"
    total = result.scores.sum(dim=1)
    assert (((total - 1).abs() < 1e-5) | (total == 0)).all()
    assert (result.confidence.min() >= 0) and (result.confidence.max() <= 1 + 1e-6)
    torch.testing.assert_close(result.ratios.sum(dim=1), torch.ones_like(result.ratios[:, 0]))
    if not VARIANTS[name].released:
        assert (result.marginal_error <= 1e-4).all()
    assert torch.equal(result.groups.diagonal(dim1=1, dim2=2), result.valid)


@every_variant
@pytest.mark.parametrize("with_images", [True, False])
@pytest.mark.parametrize("background", [True, False])
def test_an_easy_scene_is_segmented(scene: Callable[..., Any], name: str, with_images: bool, background: bool) -> None:
    made = scene(noise=0.1, dtype=torch.float32)
    result = rebalance(**made.inputs(with_images), background=background, config=VARIANTS[name], boundary=QUICK)
    sound(result, name)
    size = made.images.shape[-2:] if with_images else made.truth.shape[-2:]
    assert result.mask.shape == (2, *size)
    assert result.valid.shape == (2, 3 + background)
    assert result.mask.dtype == torch.int64
    if VARIANTS[name].marginal == "estimated" and not background:
        truth = torch.nn.functional.interpolate(made.truth[:, None].double(), size, mode="nearest-exact")[:, 0].long()
        assert (result.mask == truth).double().mean() > 0.9
        shares = torch.stack([(made.truth == label).double().mean(dim=(1, 2)) for label in range(3)], dim=1)
        assert (result.ratios - shares).abs().max() < 0.12


@every_variant
@pytest.mark.parametrize("with_base", [True, False])
def test_renaming_the_classes_renames_the_result(scene: Callable[..., Any], name: str, with_base: bool) -> None:
    order = [2, 0, 3, 1]
    made = scene(k=4)
    valid = torch.tensor([[True] * 4, [True, False, True, True]])
    base = torch.randint(0, 4, (2, 36, 48), generator=torch.Generator().manual_seed(1)) if with_base else None
    place = torch.tensor(order).argsort()
    options: dict[str, Any] = {"config": VARIANTS[name], "boundary": QUICK}
    expected = rebalance(**made.inputs(), valid=valid, base=base, **options)
    renamed = {**made.inputs(), "cams": made.cams[:, order]}
    result = rebalance(**renamed, valid=valid[:, order], base=None if base is None else place[base], **options)
    same(result, reordered(expected, order))


@every_variant
def test_the_background_stays_first(scene: Callable[..., Any], name: str) -> None:
    order = [1, 2, 0]
    made = scene()
    expected = rebalance(**made.inputs(), background=True, config=VARIANTS[name], boundary=QUICK)
    renamed = {**made.inputs(), "cams": made.cams[:, order]}
    result = rebalance(**renamed, background=True, config=VARIANTS[name], boundary=QUICK)
    same(result, reordered(expected, [0, *(index + 1 for index in order)]))


@every_variant
@pytest.mark.parametrize("background", [True, False])
def test_padding_does_not_matter(scene: Callable[..., Any], name: str, background: bool) -> None:
    made = scene(k=3)
    options: dict[str, Any] = {"background": background, "config": VARIANTS[name], "boundary": QUICK}
    expected = rebalance(**made.inputs(), **options)
    rubbish = torch.full_like(made.cams[:, :2], 7)
    padded = {**made.inputs(), "cams": torch.cat([made.cams, rubbish], dim=1)}
    valid = torch.tensor([[True, True, True, False, False]] * 2)
    result = rebalance(**padded, valid=valid, **options)
    k = 3 + background
    kept = {part: getattr(result, part)[:, :k] for part in (*OVER_CLASSES, "order")}
    same(replace(result, **kept, groups=result.groups[:, :k, :k]), expected)
    sound(result, name)


@every_variant
@pytest.mark.parametrize("background", [True, False])
def test_the_batch_does_not_matter(scene: Callable[..., Any], name: str, background: bool) -> None:
    made = scene(b=3)
    made.cams[1] = made.cams[1] ** 20  # a hard image between two easy ones
    made.uss_features[1, :, :, ::2] = 1e3
    valid = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    base = torch.randint(0, 3, (3, 36, 48))
    options: dict[str, Any] = {"background": background, "config": VARIANTS[name], "boundary": QUICK}
    together = rebalance(**made.inputs(), valid=valid, base=base, **options)
    for index in range(3):
        one = slice(index, index + 1)
        inputs = {key: value[one] for key, value in made.inputs().items()}
        alone = rebalance(**inputs, valid=valid[one], base=base[one], **options)
        same(replace(together, **{part.name: getattr(together, part.name)[one] for part in fields(together)}), alone)


@settings(deadline=None, max_examples=12)
@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(2, 7), st.integers(0, 999), st.sampled_from(sorted(VARIANTS)),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_input_gives_a_sound_result(
    b: int, k: int, side: int, seed: int, name: str, background: bool, with_images: bool
) -> None:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    valid = torch.rand(b, k, generator=random) < 0.6
    valid[:, seed % k] = True
    result = rebalance(
        draw(b, k, side, side + 1), draw(b, 4, side + 1, side), draw(b, 5, 3, 3),
        images=draw(b, 3, 4 * side, 3 * side) if with_images else None,
        valid=valid, background=background, config=VARIANTS[name], boundary=QUICK,
    )  # fmt: skip
    sound(result, name)


@every_variant
@pytest.mark.parametrize("dims", [(2,), (3,), (2, 3)])
def test_a_mirrored_photograph_gives_a_mirrored_mask(
    scene: Callable[..., Any], name: str, dims: tuple[int, ...]
) -> None:
    made = scene()
    options: dict[str, Any] = {"config": VARIANTS[name], "boundary": QUICK}
    expected = rebalance(**made.inputs(), **options)
    result = rebalance(**{key: value.flip(dims) for key, value in made.inputs().items()}, **options)
    for part in OVER_PIXELS:
        close(getattr(result, part).flip([dim - 1 for dim in dims]), getattr(expected, part))
    close(result.intra.flip(dims), expected.intra)
    close(result.ratios, expected.ratios)


@pytest.mark.parametrize("name", PRESETS)
def test_scales_do_not_matter(scene: Callable[..., Any], name: str) -> None:
    """Of a class's map, of an image's features, of the colours; and a CAM below 0 counts as 0."""
    made = scene()
    options: dict[str, Any] = {"config": PRESETS[name], "boundary": QUICK}
    expected = rebalance(**made.inputs(), **options)
    factors = torch.tensor([0.01, 5.0, 300.0], dtype=torch.float64)[:, None, None]
    lengths = 0.5 + torch.rand(2, 1, 9, 12, dtype=torch.float64)
    result = rebalance(
        made.cams * factors,
        made.uss_features * 100 * lengths,
        made.wss_features * lengths,
        made.images * 255,
        **options,
    )
    assert (result.mask != expected.mask).double().mean() < 0.01
    close(result.intra, expected.intra)
    clipped = made.cams - 0.2
    same(
        rebalance(**{**made.inputs(), "cams": clipped}, **options),
        rebalance(**{**made.inputs(), "cams": clipped.relu()}, **options),
    )


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(torch.float32, -146, 124), (torch.float64, -1071, 1020)]), st.lists(st.floats(0, 1), min_size=3),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_the_scale_of_a_cam_does_not_matter_over_all_numbers(
    kind: tuple[torch.dtype, int, int], places: list[float], background: bool, signed: bool
) -> None:
    """A class's map times any power of two, down to the smallest numbers that there are, bit for bit."""
    dtype, least, most = kind
    random = torch.Generator().manual_seed(0)
    cams = torch.randint(-7 * signed, 8, (1, 3, 5, 6), generator=random).to(dtype)  # whole: nothing is rounded
    cams[:, 2] -= 8 * signed  # nowhere above 0
    factors = [2.0 ** round(least + place * (most - least)) for place in places[:3]]
    features = torch.rand(1, 4, 7, 8, generator=random, dtype=dtype)
    options: dict[str, Any] = {"background": background, "boundary": PLAIN}
    scaled = cams * torch.tensor(factors, dtype=torch.float64).view(-1, 1, 1)
    assert torch.equal(scaled.to(dtype).double(), scaled.double())
    result = rebalance(scaled.to(dtype), features, features, **options)
    expected = rebalance(cams, features, features, **options)
    for part in fields(Rebalanced):
        assert torch.equal(getattr(result, part.name), getattr(expected, part.name)), part.name
    assert (result.activation[:, -3:].amax(dim=(2, 3)) == 1).all()


@pytest.mark.parametrize("name", PRESETS)
def test_a_base_mask_is_taken(scene: Callable[..., Any], name: str) -> None:
    made = scene()
    config = PRESETS[name]
    own = rebalance(**made.inputs(False), config=config)
    same(rebalance(**made.inputs(False), base=own.base, config=config), own)
    given_truth = rebalance(**made.inputs(False), base=made.truth, config=config)
    assert torch.equal(given_truth.base, made.truth)
    if not config.released:  # there, seeds overwrite all of it
        assert torch.equal(given_truth.initial.argmax(dim=1), made.truth)
    assert not torch.equal(own.base, made.truth)


@every_variant
@pytest.mark.parametrize("factor", [2, 3])
def test_a_base_mask_of_another_size(scene: Callable[..., Any], name: str, factor: int) -> None:
    """Enlarged without loss, it says the same."""
    made = scene()
    expected = rebalance(**made.inputs(False), base=made.truth, config=VARIANTS[name])
    large = made.truth.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    result = rebalance(**made.inputs(False), base=large, config=VARIANTS[name])
    same(replace(result, base=expected.base), expected)
    odd = rebalance(**made.inputs(), base=torch.randint(0, 3, (2, 7, 50)), config=VARIANTS[name], boundary=QUICK)
    sound(odd, name)
    assert odd.mask.shape == (2, 36, 48)


@every_variant
@pytest.mark.parametrize("background", [True, False])
def test_void_has_no_part(scene: Callable[..., Any], name: str, background: bool) -> None:
    made = scene()
    options: dict[str, Any] = {"background": background, "config": VARIANTS[name]}
    base = made.truth + background
    base[:, ::3] = 255
    expected = rebalance(**made.inputs(False), base=base, **options)
    sound(expected, name)
    if not VARIANTS[name].released:
        # The base mask lacks the background, which the seeds may bring back anywhere.
        assert (expected.initial[:, int(background) :, ::3] == 0).all()
    for void in (-1, 3 + background, 10**6, -(2**40)):
        other = torch.where(base == 255, void, base)
        same(replace(rebalance(**made.inputs(False), base=other, **options), base=expected.base), expected)


@every_variant
def test_a_base_mask_all_void(scene: Callable[..., Any], name: str) -> None:
    made = scene()
    sound(rebalance(**made.inputs(), base=torch.full((2, 36, 48), 255), config=VARIANTS[name], boundary=QUICK), name)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_base_masks_of_any_integer_type(scene: Callable[..., Any], dtype: torch.dtype) -> None:
    made = scene()
    result = rebalance(**made.inputs(False), base=made.truth.to(dtype))
    same(replace(result, base=made.truth), rebalance(**made.inputs(False), base=made.truth))


def test_seeds_recover_what_the_base_mask_lost(scene: Callable[..., Any]) -> None:
    """The least class is painted over in M_base: seeds bring it back into M_init."""
    made = scene(b=1, noise=0.05)
    for preset in PRESETS.values():
        assert rebalance(**made.inputs(False), base=made.truth.clamp_max(1), config=preset).initial[0, 2].sum() > 0
    kept = rebalance(**made.inputs(False), base=made.truth)
    assert torch.equal(kept.initial.argmax(dim=1), made.truth), "no class had vanished"


@pytest.mark.parametrize("name", PRESETS)
def test_no_tagged_class_vanishes(scene: Callable[..., Any], name: str) -> None:
    """Its CAM and its features are clear, and it covers a quarter of the image; only M_base has lost it."""
    made = scene(b=1, noise=0.05)
    result = rebalance(**made.inputs(False), base=made.truth.clamp_max(1), config=PRESETS[name])
    assert (result.mask == 2).any()


@pytest.mark.parametrize("name", ["default", "paper"])  # stretched to 0..1, as in the third, scores can tie at 0
def test_where_no_class_fires_the_order_does_not_decide(scene: Callable[..., Any], name: str) -> None:
    made = scene(b=1, k=2)
    cams = made.cams.clone()
    cams[..., 3:] = 0  # both classes are silent over three quarters of the image
    expected = rebalance(**{**made.inputs(False), "cams": cams}, config=PRESETS[name])
    result = rebalance(**{**made.inputs(False), "cams": cams.flip(1)}, config=PRESETS[name])
    same(result, reordered(expected, [1, 0]))


@pytest.mark.parametrize("name", PRESETS)
def test_padding_does_not_matter_to_a_single_class(scene: Callable[..., Any], name: str) -> None:
    made = scene(b=1, k=1)
    turned = torch.where(made.truth[:, None] * 0 + torch.arange(12) < 8, 1.0, -1.0).double()  # cosines of both signs
    inputs = {
        **made.inputs(False),
        "uss_features": made.uss_features * turned,
        "wss_features": made.wss_features * turned,
    }
    alone = rebalance(**inputs, config=PRESETS[name])
    padded = rebalance(
        **{**inputs, "cams": made.cams.expand(1, 2, 9, 12)}, valid=torch.tensor([[True, False]]), config=PRESETS[name]
    )
    close(padded.confidence, alone.confidence)


@pytest.mark.parametrize("name", PRESETS)
def test_an_image_without_a_class_is_refused_or_empty(scene: Callable[..., Any], name: str) -> None:
    """Never NaN."""
    made = scene()
    try:
        result = rebalance(**made.inputs(False), valid=torch.tensor([[True] * 3, [False] * 3]), config=PRESETS[name])
    except ShapeError:
        return
    assert result.scores.isfinite().all()


@every_variant
@pytest.mark.parametrize("with_images", [True, False])
def test_one_class_takes_everything(scene: Callable[..., Any], name: str, with_images: bool) -> None:
    result = rebalance(**scene(k=1).inputs(with_images), config=VARIANTS[name], boundary=QUICK)
    sound(result, name)
    assert (result.mask == 0).all()
    assert (result.confidence == 1).all()
    assert (result.ratios == 1).all()


@every_variant
@pytest.mark.parametrize("background", [True, False])
def test_without_activation(scene: Callable[..., Any], name: str, background: bool) -> None:
    made = scene()
    options: dict[str, Any] = {"background": background, "config": VARIANTS[name], "boundary": QUICK}
    sound(rebalance(**{**made.inputs(), "cams": torch.zeros_like(made.cams)}, **options), name)
    sound(rebalance(**{**made.inputs(), "cams": -made.cams}, **options), name)
    silent = made.cams.clone()
    silent[:, 1] = 0  # one class without activation
    sound(rebalance(**{**made.inputs(), "cams": silent}, **options), name)


@every_variant
def test_features_that_tell_nothing(scene: Callable[..., Any], name: str) -> None:
    made = scene()
    for value in (1.0, 0.0):
        flat = {"uss_features": made.uss_features * 0 + value, "wss_features": made.wss_features * 0 + value}
        result = rebalance(**{**made.inputs(), **flat}, config=VARIANTS[name], boundary=QUICK)
        sound(result, name)
    one_kind = rebalance(
        **{**made.inputs(False), "uss_features": torch.ones_like(made.uss_features)},
        config=replace(VARIANTS[name], rounds=1),
    )
    assert one_kind.groups.all(), "classes that look the same are one group"


@every_variant
def test_on_a_grid_of_one_cell(scene: Callable[..., Any], name: str) -> None:
    made = scene(k=3)
    tiny = {key: value[..., :1, :1] for key, value in made.inputs().items()}
    sound(rebalance(**tiny, config=VARIANTS[name]), name)
    sound(rebalance(**{**tiny, "images": made.images}, config=VARIANTS[name], boundary=QUICK), name)


@pytest.mark.parametrize("name", PRESETS)
def test_maps_on_other_grids_are_resampled(scene: Callable[..., Any], name: str) -> None:
    made = scene(noise=0.1, dtype=torch.float32)
    finer = scene(noise=0.1, dtype=torch.float32, grid=(18, 24), pixels=2)
    expected = rebalance(**made.inputs(), config=PRESETS[name], boundary=QUICK)
    mixed = rebalance(
        finer.cams, made.uss_features, finer.wss_features, made.images, config=PRESETS[name], boundary=QUICK
    )
    sound(mixed, name)
    assert mixed.seed.shape == expected.seed.shape
    assert (mixed.mask == expected.mask).double().mean() > 0.8


@pytest.mark.parametrize("name", PRESETS)
def test_double_and_single_precision_agree(scene: Callable[..., Any], name: str) -> None:
    made = scene(noise=0.1)
    options: dict[str, Any] = {"config": PRESETS[name], "boundary": QUICK}
    double = rebalance(**made.inputs(), **options)
    single = rebalance(**{key: value.float() for key, value in made.inputs().items()}, **options)
    for part in fields(Rebalanced):
        value = getattr(double, part.name)
        if value.dtype.is_floating_point:
            assert value.dtype == torch.float64, part.name
            assert getattr(single, part.name).dtype == torch.float32, part.name
    assert (double.mask == single.mask).double().mean() > 0.995
    close(single.scores.double(), double.scores, atol=1e-2)


@every_variant
def test_inputs_are_left_alone_and_the_result_is_the_same_again(scene: Callable[..., Any], name: str) -> None:
    made = scene()
    inputs = {
        **made.inputs(),
        "valid": torch.tensor([[True, True, False]] * 2),
        "base": torch.randint(0, 4, (2, 36, 48)),
    }
    copies = {key: value.clone() for key, value in inputs.items()}
    first = rebalance(**inputs, background=True, config=VARIANTS[name], boundary=QUICK)
    for key, value in inputs.items():
        assert torch.equal(value, copies[key]), key
    second = rebalance(**inputs, background=True, config=VARIANTS[name], boundary=QUICK)
    for part in fields(Rebalanced):
        assert torch.equal(getattr(first, part.name), getattr(second, part.name)), part.name


def test_no_gradient_is_recorded(scene: Callable[..., Any]) -> None:
    inputs = {key: value.requires_grad_() for key, value in scene().inputs().items()}
    result = rebalance(**inputs, boundary=QUICK)
    sound(result)
    assert all(value.grad is None for value in inputs.values())


@pytest.mark.parametrize("name", ["uniform", "paper"])
def test_a_uniform_marginal_gives_every_class_the_same_area(scene: Callable[..., Any], name: str) -> None:
    made = scene(k=4)
    valid = torch.tensor([[True] * 4, [True, True, False, True]])
    result = rebalance(**made.inputs(False), valid=valid, config=VARIANTS[name])
    shares = valid.double() / valid.sum(dim=1, keepdim=True)
    close(result.ratios, shares)
    assigned = torch.where(result.activation > 0, result.seed / result.activation, 0)  # the transport's, Eq. 2
    close(assigned.mean(dim=(2, 3)), shares, atol=1e-4)


def test_the_boundary_moves_masks_to_the_edges_of_the_photograph(scene: Callable[..., Any]) -> None:
    """The photograph's edges lie half a cell beside those of the features."""
    made = scene(b=1, k=2, noise=0.05, pixels=8)
    images = made.images.clamp(0, 1).roll(3, dims=3)
    images[..., :3] = made.images.clamp(0, 1)[..., :3]
    pixels = made.truth.repeat_interleave(8, 1).repeat_interleave(8, 2)
    truth = pixels.roll(3, dims=2)
    truth[..., :3] = pixels[..., :3]
    inputs = {**made.inputs(), "images": images}
    wrong = {
        kind: (rebalance(**inputs, boundary=boundary).mask != truth).double().mean().item()
        for kind, boundary in (("none", PLAIN), ("pamr", BoundaryConfig(kind="pamr")), ("crf", BoundaryConfig()))
    }
    assert wrong["pamr"] < 0.5 * wrong["none"]
    assert wrong["crf"] < 0.5 * wrong["none"]


@every_variant
def test_nothing_waits_for_the_device(
    scene: Callable[..., Any], no_sync: AbstractContextManager[None], name: str
) -> None:
    made = scene(dtype=torch.float32)
    valid = torch.tensor([[True, True, False]] * 2)
    with no_sync:
        rebalance(**made.inputs(), valid=valid, background=True, config=VARIANTS[name], boundary=QUICK)
        rebalance(**made.inputs(False), base=made.truth, config=VARIANTS[name])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("key", ["uss_features", "wss_features", "images"])
def test_batches_must_agree(scene: Callable[..., Any], key: str) -> None:
    inputs = scene().inputs()
    with pytest.raises(ShapeError, match="the same number of images"):
        rebalance(**{**inputs, key: inputs[key][:1]})


@pytest.mark.usefixtures("unchecked")
def test_the_base_masks_must_be_as_many(scene: Callable[..., Any]) -> None:
    made = scene()
    with pytest.raises(ShapeError, match="base"):
        rebalance(**made.inputs(), base=made.truth[:1])


def test_there_must_be_a_class(scene: Callable[..., Any]) -> None:
    made = scene()
    with pytest.raises(ShapeError, match="at least one tag"):
        rebalance(**{**made.inputs(), "cams": made.cams[:, :0]})


def test_there_must_be_an_image(scene: Callable[..., Any]) -> None:
    with pytest.raises(ShapeError, match="no image"):
        rebalance(**{name: value[:0] for name, value in scene().inputs().items()})


def test_confidence_is_the_margin_before_the_last_correction(scene: Callable[..., Any]) -> None:
    result = rebalance(**scene(k=3).inputs(True), boundary=QUICK)
    fine = resize(result.joined / result.joined.sum(dim=1, keepdim=True), result.mask.shape[-2:])
    best, second = fine.sort(dim=1, descending=True).values[:, :2].unbind(dim=1)
    torch.testing.assert_close(result.confidence, best - second)
    assert result.confidence.std() > 0.01


def test_moved_is_how_far_the_last_round_moved_the_shares(scene: Callable[..., Any]) -> None:
    rounds = [rebalance(**scene().inputs(False), config=replace(PRESETS["default"], rounds=n)) for n in (1, 2, 3)]
    assert (rounds[0].moved == 0).all()
    for before, after in itertools.pairwise(rounds):
        torch.testing.assert_close(after.moved, (after.ratios - before.ratios).abs().sum(dim=1))
    assert (rounds[1].moved > 0).any()
