"""The order of the classes decides nothing: the result of permuted classes is the permuted result, bit for bit."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dhr.method.config import PRESETS, BoundaryConfig, Kind, MethodConfig, PamrConfig, RandomWalkConfig
from dhr.method.order import class_order
from dhr.types import Rebalanced

from .whole import rebalance

VARIANTS: dict[str, MethodConfig] = {
    **PRESETS,
    "product": replace(PRESETS["default"], combine="product", tau=0.3, rounds=2),
    "level": replace(PRESETS["default"], background_level=0.4, eps=0.02),
    "prior": replace(PRESETS["default"], marginal="prior"),
}
KINDS: tuple[Kind, ...] = ("none", "pamr", "crf", "random_walk")
OVER_CLASSES = ("activation", "seed", "initial", "inter", "intra", "joined", "scores", "ratios", "kept", "valid")


def permuted(result: Rebalanced, order: Tensor) -> Rebalanced:
    """What the method should have given, had class ``order[i]`` been class i."""
    place = order.argsort()
    named = torch.cat([place, torch.tensor([-1])])  # of void
    return replace(
        result,
        **{name: getattr(result, name)[:, order] for name in OVER_CLASSES},
        groups=result.groups[:, order][:, :, order],
        mask=named[result.mask],
        base=named[result.base],
        order=place[result.order],
    )


def assert_identical(result: Rebalanced, expected: Rebalanced) -> None:
    for part in fields(Rebalanced):
        assert torch.equal(getattr(result, part.name), getattr(expected, part.name)), part.name


def named_only(result: Rebalanced) -> Rebalanced:
    """With one label for all of the base mask that is no class of the image."""
    wrong = torch.cat([~result.valid, torch.ones_like(result.valid[:, :2])], dim=1)  # of k, k + 1 and -1
    void = wrong.gather(1, (result.base % wrong.shape[1]).flatten(1)).view_as(result.base)
    return replace(result, base=result.base.masked_fill(void, -1))


def twins_in_order(order: Tensor, contents: list[Tensor]) -> Tensor:
    """The same permutation, with classes that are the same in all that is given in the order in which they came."""
    found = order.clone()
    for index in range(len(order)):
        alike = torch.tensor([all(torch.equal(one[tag], one[order[index]]) for one in contents) for tag in order])
        found[alike] = order[alike].sort().values
    return found


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_permuted_classes_give_the_permuted_result(data: st.DataObject) -> None:
    """With cells, maps and whole classes of zeros, as ReLU makes them, in float32 (compiled) and float64 (PyTorch)."""
    k, side = data.draw(st.integers(2, 7)), data.draw(st.integers(2, 7))
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    background, with_images = data.draw(st.booleans()), data.draw(st.booleans())
    config = VARIANTS[name := data.draw(st.sampled_from(sorted(VARIANTS)))]
    kinds = dict(zip(("kind", "base"), data.draw(st.tuples(*2 * [st.sampled_from(KINDS)])), strict=True))

    def draw(*shape: int, zeros: float = 0.5) -> Tensor:
        return (torch.rand(*shape, generator=random, dtype=torch.float64) - zeros).relu().to(dtype)

    levels = data.draw(st.sampled_from([3.0, 1e6]))  # few levels: equal scores
    cams = (draw(2, k, side, side + 1) * levels).round() / levels
    cams[:, k // 2] *= data.draw(st.sampled_from([0.0, 1.0]))
    inputs: dict[str, Any] = {
        "uss_features": draw(2, 8, side, side), "wss_features": draw(2, 5, side + 1, side, zeros=0.7),
        "images": draw(2, 3, 3 * side, 4 * side, zeros=0.2) if with_images else None,
        "background": background, "config": config,
        "boundary": BoundaryConfig(**kinds, pamr=PamrConfig(3, (1, 2)), random_walk=RandomWalkConfig(2, steps=4)),
    }  # fmt: skip
    valid = torch.rand(2, k, generator=random) < data.draw(st.sampled_from([0.6, 1.1]))
    valid[:, 0] = True
    classes = k + background
    prior = draw(2, classes, zeros=0.1) if name == "prior" else None
    survey = draw(2, classes, side, side, zeros=0.3) if data.draw(st.booleans()) else None
    base = torch.randint(-1, classes + 1, (2, 5, 6), generator=random) if data.draw(st.booleans()) else None

    held = None
    if data.draw(st.booleans()):
        drawn = torch.randint(-3, classes, (2, 1, 2 * side, 3 * side), generator=random)
        held = (drawn == torch.arange(classes).view(-1, 1, 1)).to(dtype)

    tags = data.draw(st.permutations(range(k)))
    order = torch.tensor([*range(background), *(tag + background for tag in tags)])
    place = torch.cat([order.argsort(), torch.tensor([-1, -1])])  # of labels that are no class
    expected = rebalance(cams, **inputs, valid=valid, prior=prior, survey=survey, base=base, held=held)
    result = rebalance(
        cams[:, tags], **inputs, valid=valid[:, tags],
        prior=None if prior is None else prior[:, order], survey=None if survey is None else survey[:, order],
        base=None if base is None else place[base], held=None if held is None else held[:, order],
    )  # fmt: skip
    expected, result = named_only(expected), named_only(result)
    for index in range(2):
        one = slice(index, index + 1)
        mine, theirs = (
            replace(of, **{part.name: getattr(of, part.name)[one] for part in fields(of)}) for of in (result, expected)
        )
        contents = [theirs.activation[0], *(of[index] for of in (prior, survey, held) if of is not None)]
        if base is not None:
            contents.append(theirs.base == torch.arange(classes)[:, None, None])
        there = theirs.valid[0]  # nothing else of padding counts
        contents = [there, *(of * there.view(-1, *(of.ndim - 1) * [1]) for of in contents)]
        assert_identical(mine, permuted(theirs, twins_in_order(order, contents)))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_cells_without_any_score_teach_nothing(preset: str, order: list[int]) -> None:
    """Where the features are 0 no class scores: such cells go to no class while masks are made of each other."""
    random = torch.Generator().manual_seed(0)
    truth = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2]).expand(6, 8)
    features = torch.nn.functional.one_hot(truth, 3).movedim(2, 0)[None].float()
    features = features + 0.1 * torch.rand(1, 3, 6, 8, generator=random)
    features[..., ::2] = 0
    cams = torch.nn.functional.one_hot(truth, 3).movedim(2, 0)[None].float() * torch.rand(1, 3, 6, 8, generator=random)
    config = PRESETS[preset] if preset == "released" else replace(PRESETS[preset], rounds=4)
    result = rebalance(cams[:, order], features, features, config=config, boundary=BoundaryConfig(kind="none"))
    if preset == "default":
        expected = torch.tensor([0.5, 0.25, 0.25])[order]
        torch.testing.assert_close(result.ratios[0], expected, rtol=0, atol=1e-6)
    assert (result.intra[..., ::2] == 0).all()
    assert (result.mask[..., ::2] == result.order[0, 0]).all() and order[int(result.order[0, 0])] == 0


def test_equal_scores_go_to_the_background_or_the_largest_cam() -> None:
    cams = torch.zeros(1, 3, 4, 5)
    cams[0, 0, 0, 0] = cams[0, 1, :2] = cams[0, 2, 0] = 1
    nothing = torch.zeros(1, 4, 4, 5)
    options: dict[str, Any] = {"boundary": BoundaryConfig(kind="none", base="none")}
    result = rebalance(cams, nothing, nothing, **options)
    assert (result.scores == 0).all()
    assert (result.mask == 1).all() and result.order.tolist() == [[1, 2, 0]]
    first = rebalance(cams, nothing, nothing, background=True, **options)
    assert (first.mask == 0).all() and first.order.tolist() == [[0, 2, 3, 1]]


def test_classes_of_equal_sums_are_told_apart_by_all_else_that_is_given() -> None:
    maps, valid = torch.ones(1, 3, 2, 2), torch.ones(1, 3, dtype=torch.bool)
    order = [2, 0, 1]
    shifted = torch.eye(4)[:3].view(1, 3, 2, 2)
    for given_of, changed in (
        ({}, {"maps": shifted}),
        ({"prior": torch.tensor([[0.2, 0.3, 0.5]])}, {"prior": torch.tensor([[0.5, 0.2, 0.3]])}),
        ({"survey": shifted}, {"survey": shifted[:, order]}),
        ({"base": torch.tensor([[[0, 1], [1, 2]]])}, {"base": torch.tensor([[[1, 2], [2, 0]]])}),
    ):
        before = {"maps": shifted if not given_of else maps, **given_of}
        after = {"maps": shifted[:, order] if not given_of else maps, **changed}
        if not given_of:
            after["maps"] = shifted[:, order]
        first = class_order(**before, valid=valid, background=False)[0]
        second = class_order(**after, valid=valid, background=False)[0]
        assert torch.tensor(order)[second].tolist() == first.tolist()
    assert class_order(maps, valid, background=False).tolist() == [[0, 1, 2]]
