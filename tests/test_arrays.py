from dataclasses import replace
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

import dhr
from dhr.arrays import pad_classes, rebalance
from dhr.errors import ConfigError, DhrError, ShapeError
from dhr.method.config import PRESETS, BoundaryConfig, CrfConfig


@pytest.fixture
def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "cams": rng.random((2, 3, 8, 10)),
        "uss_features": rng.standard_normal((2, 16, 8, 10)),
        "wss_features": rng.standard_normal((2, 24, 4, 5)),
        "images": rng.integers(0, 256, (2, 3, 32, 40), dtype=np.uint8),
    }


@pytest.fixture
def as_users_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks of shapes that pytest adds, which would come before ours."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def test_it_is_what_the_package_offers() -> None:
    assert dhr.rebalance is rebalance and dhr.pad_classes is pad_classes


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_numpy_and_torch_agree(preset: str, inputs: dict[str, np.ndarray]) -> None:
    from_numpy = rebalance(**inputs, config=preset)
    from_torch = rebalance(**{name: torch.from_numpy(value) for name, value in inputs.items()}, config=preset)
    assert torch.equal(from_numpy.mask, from_torch.mask)
    assert torch.equal(from_numpy.scores, from_torch.scores)
    assert from_numpy.mask.shape == (2, 32, 40) and set(from_numpy.mask.unique().tolist()) <= {0, 1, 2}
    assert from_numpy.scores.dtype == torch.float64


def test_inputs_are_not_altered(inputs: dict[str, np.ndarray]) -> None:
    before = {name: value.copy() for name, value in inputs.items()}
    rebalance(**inputs)
    assert all(np.array_equal(inputs[name], before[name]) for name in inputs)


def test_views_with_negative_strides_as_opencv_users_have(inputs: dict[str, np.ndarray]) -> None:
    plain = rebalance(**inputs)
    bgr = np.moveaxis(inputs["images"], 1, 3)[..., ::-1].copy()
    turned = rebalance(**{**inputs, "images": bgr[..., ::-1]})
    assert torch.equal(plain.mask, turned.mask)
    maps, _ = pad_classes([inputs["cams"][0][:, ::-1], inputs["cams"][1][:1, ::-1]])
    assert torch.equal(maps[0], torch.from_numpy(inputs["cams"][0]).flip(1))


def test_a_preset_by_name_is_the_preset(inputs: dict[str, np.ndarray]) -> None:
    for name, config in PRESETS.items():
        assert torch.equal(rebalance(**inputs, config=name).scores, rebalance(**inputs, config=config).scores)
    assert not torch.equal(rebalance(**inputs, config="default").scores, rebalance(**inputs, config="paper").scores)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(np.float64, torch.float64), (np.float32, torch.float32), (np.float16, torch.float32), (np.uint8, torch.float32)],
)
def test_kinds_of_numbers(dtype: Any, expected: torch.dtype, inputs: dict[str, np.ndarray]) -> None:
    inputs["cams"] = (inputs["cams"] * (200 if dtype == np.uint8 else 1)).astype(dtype)
    result = rebalance(**inputs)
    assert result.scores.dtype == result.activation.dtype == expected
    wide = rebalance(**{**inputs, "cams": inputs["cams"].astype(np.float64)})
    assert (result.mask == wide.mask).double().mean() > 0.99


def test_images_may_have_their_channels_last(inputs: dict[str, np.ndarray]) -> None:
    last = {**inputs, "images": inputs["images"].transpose(0, 2, 3, 1)}
    assert torch.equal(rebalance(**inputs).scores, rebalance(**last).scores)


def test_the_range_of_the_images_does_not_matter_much(inputs: dict[str, np.ndarray]) -> None:
    unit = {**inputs, "images": inputs["images"] / 255}
    assert (rebalance(**inputs).mask == rebalance(**unit).mask).double().mean() > 0.99


def test_without_images_the_mask_is_on_the_grid(inputs: dict[str, np.ndarray]) -> None:
    del inputs["images"]
    result = rebalance(**inputs, boundary=BoundaryConfig(kind="none"))
    assert result.mask.shape == (2, 8, 10)


def test_a_background_comes_first(inputs: dict[str, np.ndarray]) -> None:
    result = rebalance(**inputs, background=True)
    assert result.scores.shape[1] == result.activation.shape[1] == 4
    level = result.activation[:, 0].flatten(1)
    assert (level == level[:, :1]).all() and ((level > 0) & (level < 1)).all()
    assert torch.equal(result.activation[:, 1:], rebalance(**inputs).activation)
    fixed = replace(PRESETS["default"], background_level=0.3)
    assert (rebalance(**inputs, background=True, config=fixed).activation[:, 0] == 0.3).all()


def test_a_mask_of_another_method(inputs: dict[str, np.ndarray]) -> None:
    base = np.zeros((2, 32, 40), np.uint8)
    base[:, 16:] = 1
    base[:, :2] = 255
    result = rebalance(**inputs, base=base)
    assert torch.equal(result.base, torch.from_numpy(base).long())
    assert not torch.equal(result.mask, rebalance(**inputs).mask)


@pytest.mark.parametrize("background", [True, False])
def test_drawn_pixels_keep_their_label(background: bool, inputs: dict[str, np.ndarray]) -> None:
    held = np.full((2, 32, 40), 255, np.uint8)
    held[0, 3:9, 5:20], held[0, 20:24], held[1, 8] = 2, 0, 1
    result = rebalance(**inputs, background=background, held=held)
    drawn = torch.from_numpy(held != 255)
    assert torch.equal(result.mask[drawn], torch.from_numpy(held).long()[drawn])
    assert torch.equal(rebalance(**inputs, held=np.full_like(held, 255)).scores, rebalance(**inputs).scores)
    small = rebalance(**inputs, held=held[:, ::2, ::2])  # of any size
    assert (small.mask[0, 4:8, 6:20] == 2).all()


@pytest.mark.parametrize("name", ["cams", "uss_features", "wss_features", "images"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(name: str, value: float, inputs: dict[str, np.ndarray]) -> None:
    inputs[name] = inputs[name].astype(np.float64)
    inputs[name][0, 0, 0, 0] = value
    with pytest.raises(ShapeError, match=f"{name} hold NaN or infinity"):
        rebalance(**inputs)


@pytest.mark.parametrize("name", ["cams", "uss_features", "wss_features", "images"])
def test_the_wrong_number_of_dimensions_is_refused(name: str, inputs: dict[str, np.ndarray]) -> None:
    inputs[name] = inputs[name][0]
    with pytest.raises(ShapeError, match=f"{name} must have 4 dimensions"):
        rebalance(**inputs)


@pytest.mark.parametrize("name", ["uss_features", "wss_features", "images"])
@pytest.mark.usefixtures("as_users_have_it")
def test_another_number_of_images_is_refused(name: str, inputs: dict[str, np.ndarray]) -> None:
    inputs[name] = inputs[name][:1]
    with pytest.raises(ShapeError, match="same number of images"):
        rebalance(**inputs)


def test_images_that_are_not_rgb_are_refused(inputs: dict[str, np.ndarray]) -> None:
    inputs["images"] = inputs["images"][:, :1]
    with pytest.raises(ShapeError, match="RGB"):
        rebalance(**inputs)


def test_an_unknown_preset_is_refused(inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(ConfigError, match=r"default, paper, released; got 'papre'"):
        rebalance(**inputs, config="papre")


@pytest.mark.parametrize(
    "bad",
    [
        {"valid": np.ones((2, 4), bool)},
        {"valid": np.ones(3, bool)},
        {"valid": np.array([[True, True, True], [False, False, False]])},
        {"base": np.zeros((1, 32, 40), np.uint8)},
        {"base": np.zeros((32, 40), np.uint8)},
        {"cams": np.zeros((2, 0, 8, 10))},
        {"cams": np.zeros((0, 3, 8, 10))},
        {"cams": np.zeros((2, 3, 0, 10))},
        {"uss_features": np.zeros((2, 0, 8, 10))},
    ],
)
@pytest.mark.usefixtures("as_users_have_it")
def test_what_does_not_fit_together_is_an_error_of_ours(
    bad: dict[str, np.ndarray], inputs: dict[str, np.ndarray]
) -> None:
    with pytest.raises(DhrError):
        rebalance(**{**inputs, **bad})


def test_what_other_photographs_say_is_joined(inputs: dict[str, np.ndarray]) -> None:
    del inputs["images"]
    for background in (False, True):
        options: Any = {"background": background, "boundary": BoundaryConfig(kind="none")}
        said = np.zeros((2, 3 + background, 8, 10))
        assert torch.equal(rebalance(**inputs, **options, survey=said).mask, rebalance(**inputs, **options).mask)
        said[:, -1] = 1
        config = replace(PRESETS["default"], survey=1.0, smallest_ratio=0.0, guard=0.0)
        result = rebalance(**inputs, **options, survey=said, config=config)
        assert (result.joined[:, -1] > 0.99).all()


@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (2, 4, 8, 10), (1, 3, 8, 10), (2, 3, 10, 8)])
@pytest.mark.usefixtures("as_users_have_it")
def test_a_survey_that_does_not_fit_is_refused(shape: tuple[int, ...], inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(ShapeError, match=r"survey must be \(2, 3, 8, 10\)"):
        rebalance(**inputs, survey=np.ones(shape))
    with pytest.raises(ShapeError, match="survey must hold shares"):
        rebalance(**inputs, survey=np.full((2, 3, 8, 10), -0.1))


def test_shares_that_no_setting_uses_are_refused(inputs: dict[str, np.ndarray]) -> None:
    shares = np.ones((2, 3))
    with pytest.raises(ConfigError, match=r"method.marginal is 'estimated'.*set it to 'prior'"):
        rebalance(**inputs, prior=shares)
    config = replace(PRESETS["default"], marginal="prior")
    assert rebalance(**inputs, prior=shares, config=config).ratios.shape == (2, 3)
    with pytest.raises(ShapeError, match="pass prior"):
        rebalance(**inputs, config=config)


@pytest.mark.parametrize("name", ["cams", "uss_features", "wss_features", "edges", "base"])
@pytest.mark.parametrize("with_images", [True, False])
def test_swapped_axes_are_refused(name: str, with_images: bool, inputs: dict[str, np.ndarray]) -> None:
    given = {**inputs, "edges": np.zeros((2, 1, 16, 20)), "base": np.zeros((2, 16, 20), int)}
    if not with_images:
        del given["images"]
    if name == "wss_features":
        given[name] = np.zeros((2, 4, 16, 20))
    assert rebalance(**given).mask.shape[0] == 2
    wide = {**given, "images": np.zeros((2, 3, 40, 80))} if with_images else given
    for key in ("cams", "uss_features", "wss_features", "edges", "base"):  # twice as wide as high
        wide[key] = np.ones((*given[key].shape[:-2], 20, 40), given[key].dtype)
    wide[name] = wide[name].swapaxes(-1, -2)
    if name == "uss_features" and not with_images:  # the others are those that differ from the grid
        name = "cams"
    with pytest.raises(ShapeError, match=f"{name} are .* their axes are swapped"):
        rebalance(**wide)


def test_maps_may_be_of_another_aspect_than_the_images(inputs: dict[str, np.ndarray]) -> None:
    """Networks that see squares show all of a photograph all the same: what is left in it is left in the mask."""
    left = np.zeros((1, 2, 12, 12))
    left[:, 0, :, :6] = left[:, 1, :, 6:] = 1
    for height, width in ((24, 96), (96, 24)):
        result = rebalance(left, left, left, images=np.full((1, 3, height, width), 0.5))
        assert (result.mask[:, :, : width // 2 - 2] == 0).all() and (result.mask[:, :, width // 2 + 2 :] == 1).all()


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 32, 40, 3), bool)}, "got bool; multiply them by 255"),
        ({"images": np.zeros((2, 3, 40, 3))}, "first or last"),
        ({"images": np.full((2, 3, 32, 40), 300, np.int32)}, "0..255 or floats in 0..1"),
        ({"images": np.full((2, 3, 32, 40), 60000, np.uint16)}, "0..255 or floats in 0..1"),
        ({"base": np.full((2, 32, 40), 0.7)}, r"whole labels, got 0.7; take the argmax"),
        ({"base": np.full((2, 32, 40), np.nan)}, r"whole labels, got nan"),
        ({"base": np.zeros((2, 1, 32, 40))}, "base must have 3 dimensions"),
        ({"base": np.zeros((2, 0, 40), int)}, "base must have 3 dimensions"),
        ({"held": np.full((2, 32, 40), 0.7)}, r"held must hold whole labels, got 0.7"),
        ({"held": np.zeros((32, 40), int)}, "held must have 3 dimensions"),
        ({"held": np.zeros((1, 32, 40), int)}, "the same number of images"),
        ({"valid": np.full((2, 3), 0.5)}, "valid must hold True and False"),
        ({"cams": np.ones((2, 3, 8, 10), complex)}, "cams must be an array of real numbers"),
        ({"uss_features": np.full((2, 3, 8, 10), None)}, "uss_features must be an array of real numbers"),
        ({"uss_features": None}, "uss_features is None; give an array"),
        ({"edges": np.full((2, 1, 8, 10), 1.5)}, r"edges must be one map of probabilities"),
        ({"edges": np.zeros((2, 2, 8, 10))}, r"edges must be one map"),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(
    change: dict[str, np.ndarray], message: str, inputs: dict[str, np.ndarray]
) -> None:
    with pytest.raises(ShapeError, match=message):
        rebalance(**{**inputs, **change})


@pytest.mark.usefixtures("as_users_have_it")
def test_settings_of_the_wrong_kind_are_refused(inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(ConfigError, match="got None"):
        rebalance(**inputs, config=None)  # type: ignore[arg-type]
    for wrong in ("no", 2, None):
        with pytest.raises(ConfigError, match="background must be True or False"):
            rebalance(**inputs, background=wrong)  # type: ignore[arg-type]


def test_narrow_images_are_read_as_they_lie(inputs: dict[str, np.ndarray]) -> None:
    """Three pixels high or wide: only where both ends hold three is it a matter of guessing."""
    random = np.random.default_rng(0)
    for height, width in ((3, 24), (24, 3)):
        given = {key: random.random((1, 2, 4, 4)) for key in inputs if key != "images"}
        first, last = random.random((1, 3, height, width)), random.random((1, height, width, 3))
        for images, ambiguous in ((first, width == 3), (last, height == 3)):
            if ambiguous:
                with pytest.raises(ShapeError, match="first or last"):
                    rebalance(**given, images=images)
            else:
                assert rebalance(**given, images=images).mask.shape == (1, height, width)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "u1", "u2", ">f4", ">i8", "?"])
def test_whole_labels_of_any_type(dtype: Any, inputs: dict[str, np.ndarray]) -> None:
    base = (np.arange(40) // 20).astype(dtype) * np.ones((2, 32, 1), dtype)
    result = rebalance(**inputs, base=base.astype(dtype))
    assert torch.equal(result.base, torch.from_numpy(base.astype(np.int64)))
    assert torch.equal(result.mask, rebalance(**inputs, base=base.astype(np.int64)).mask)


def test_padding_changes_nothing(inputs: dict[str, np.ndarray]) -> None:
    first, second = inputs["cams"][0], inputs["cams"][1, :2]
    cams, valid = pad_classes([first, second])
    assert cams.shape == (2, 3, 8, 10) and valid.tolist() == [[True] * 3, [True, True, False]]
    together = rebalance(**{**inputs, "cams": cams}, valid=valid)
    alone = rebalance(**{name: value[1:] for name, value in {**inputs, "cams": cams[:, :2]}.items()})
    assert torch.equal(together.mask[1:], alone.mask)
    torch.testing.assert_close(together.scores[1:, :2], alone.scores)


def test_maps_of_several_types_are_stacked_in_the_widest() -> None:
    maps = [np.ones((1, 4, 4), np.float32), np.full((2, 4, 4), 1e-9), np.ones((1, 4, 4), np.uint8)]
    cams, valid = pad_classes(maps)
    assert cams.dtype == torch.float64 and cams[1, 0, 0, 0] == 1e-9 and valid.sum() == 4


@pytest.mark.parametrize(
    "cams", [[], [np.zeros((1, 4, 4)), np.zeros((2, 4, 5))], [np.zeros((4, 4))], [np.zeros((1, 1, 4, 4))]]
)
def test_cams_that_cannot_be_stacked_are_refused(cams: list[np.ndarray]) -> None:
    with pytest.raises(ShapeError, match="on one grid"):
        pad_classes(cams)


def test_cams_of_each_image_in_a_list(inputs: dict[str, np.ndarray]) -> None:
    cams = [inputs["cams"][0], inputs["cams"][1, :2]]
    padded, valid = pad_classes(cams)
    expected = rebalance(**{**inputs, "cams": padded}, valid=valid)
    assert torch.equal(rebalance(**{**inputs, "cams": cams}).scores, expected.scores)
    with pytest.raises(ShapeError, match="leave valid out"):
        rebalance(**{**inputs, "cams": cams}, valid=valid)


def test_dictionaries_of_maps(inputs: dict[str, np.ndarray]) -> None:
    """By class; as IRN's programs write them; and as numpy loads them."""
    one = {name: value[:1] for name, value in inputs.items()}
    maps = one["cams"][0]
    loaded = np.empty((), object)
    loaded[()] = {"keys": np.array([3, 7, 9]), "high_res": maps, "cam": maps[:, ::2, ::2]}
    for cams in (dict(zip((3, 7, 9), maps, strict=True)), {"keys": [3, 7, 9], "cam": maps}, loaded, [loaded]):
        assert torch.equal(rebalance(**{**one, "cams": cams}).scores, rebalance(**one).scores)


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("cams", "message"),
    [
        ({}, "an empty dictionary"),
        ({3: np.ones((8, 10)), 5: np.ones((4, 5))}, "of one size"),
        ({"keys": [1, 2], "cam": np.ones((3, 8, 10))}, "2 keys, but 3 maps in 'cam'; give one map per key"),
        ({"keys": [1, 2]}, "has the keys 'keys', but no high_res"),
        ({"keys": [1, 2], "cam": None}, "but no high_res"),
        (None, "cams is None; give an array"),
        ("cams.npy", "cams must be an array of real numbers"),
        ([np.ones((1, 3, 8, 10))], "a list of arrays of 4 dimensions"),
        (np.zeros((1, 3, 8, 10)), "cams of image 0 are 0 everywhere.*give base"),
        (np.full((1, 3, 8, 10), -2.0), "cams of image 0 are 0 everywhere"),
    ],
)
def test_cams_that_cannot_be_meant_are_refused(cams: Any, message: str, inputs: dict[str, np.ndarray]) -> None:
    one = {name: value[:1] for name, value in inputs.items()}
    with pytest.raises(ShapeError, match=message) as caught:
        rebalance(**{**one, "cams": cams})
    assert "\n" not in str(caught.value)


def test_cams_of_zeros_are_accepted_beside_others_and_with_a_base_mask(inputs: dict[str, np.ndarray]) -> None:
    inputs["cams"][0, 1:] = 0
    assert rebalance(**inputs).mask.shape == (2, 32, 40)
    inputs["cams"][0] = 0
    with pytest.raises(ShapeError, match="cams of image 0 are 0 everywhere"):
        rebalance(**inputs)
    base = np.arange(40).repeat(32).reshape(40, 32).T[None].repeat(2, 0) // 14
    assert rebalance(**inputs, base=base).kept[0].all()


def test_without_wss_features_the_uss_features_serve(inputs: dict[str, np.ndarray]) -> None:
    del inputs["wss_features"]
    expected = rebalance(**inputs, wss_features=inputs["uss_features"])
    assert torch.equal(rebalance(**inputs).scores, expected.scores)


def test_settings_in_dictionaries(inputs: dict[str, np.ndarray]) -> None:
    changed = replace(PRESETS["paper"], rounds=2)
    found = rebalance(**inputs, config={"preset": "paper", "rounds": 2}, boundary={"kind": "pamr"})
    expected = rebalance(**inputs, config=changed, boundary=BoundaryConfig(kind="pamr"))
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.scores, rebalance(**inputs, config=changed, boundary="pamr").scores)
    for same in ({"preset": "paper", "method.rounds": 2}, {"preset": "paper", "method": {"rounds": 2}}):
        again = rebalance(**inputs, config=same, boundary={"boundary.kind": "pamr"})
        assert torch.equal(found.scores, again.scores)
    few = {"kind": "crf", "crf.iterations": 1}
    image, scores = inputs["images"], np.random.default_rng(0).random((2, 2, 32, 40))
    expected_scores = dhr.refine(image, scores, BoundaryConfig(crf=CrfConfig(iterations=1)))
    assert torch.equal(dhr.refine(image, scores, few), expected_scores)


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": {"taus": 0.7}}, "method has no setting 'taus'; did you mean tau?"),
        ({"config": {"tau": "high"}}, "method cannot be .*give numbers as numbers"),
        ({"config": {"tau": 7}}, "method.tau must be a cosine"),
        ({"config": {"preset": "papre"}}, "got 'papre'; did you mean paper?"),
        ({"config": 0.7}, "config must be a dhr.MethodConfig, a dictionary, or one of default"),
        ({"boundary": None}, "boundary must be one of crf, pamr.*got None"),
        ({"boundary": "dense"}, "boundary.kind must be one of"),
        ({"boundary": {"crf": {"iteration": 3}}}, "boundary.crf has no setting 'iteration'; did you mean iterations?"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    options: dict[str, Any], message: str, inputs: dict[str, np.ndarray]
) -> None:
    with pytest.raises(ConfigError, match=message):
        rebalance(**inputs, **options)


@pytest.mark.parametrize("name", ["cams", "uss_features", "wss_features"])
def test_channels_last_are_refused(name: str, inputs: dict[str, np.ndarray]) -> None:
    wide = {**inputs, "images": np.zeros((2, 3, 40, 80))}
    for key in ("cams", "uss_features", "wss_features"):
        wide[key] = np.random.default_rng(0).random((2, 16, 20, 40))
    assert rebalance(**wide).mask.shape == (2, 40, 80)
    wide[name] = np.moveaxis(wide[name], 1, -1)
    with pytest.raises(ShapeError, match=f"{name} are .*their channels seem to be last"):
        rebalance(**wide)


def test_a_result_is_shown_in_one_line(inputs: dict[str, np.ndarray]) -> None:
    expected = "Rebalanced(2 masks of 32 x 40, up to 3 classes, grid 8 x 10, float64 on cpu)"
    assert repr(rebalance(**inputs)) == expected


@pytest.mark.parametrize("classes", range(1, 9))
def test_square_grids_fit_images_of_any_aspect(classes: int) -> None:
    """However many classes or channels there are."""
    random = np.random.default_rng(classes)
    cams, features = random.random((1, classes, 8, 8)), random.random((1, 4 * classes, 12, 12))
    for size in ((24, 96), (20, 40), (30, 40), (96, 24)):
        result = rebalance(cams, features, images=random.random((1, 3, *size)), boundary="none")
        assert result.mask.shape == (1, *size)
