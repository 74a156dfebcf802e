"""What a batch goes through on a GPU: nothing waits for it, and nothing is copied from it or to it.

PyTorch's fake tensors have shapes, types and a device, and no values, so this needs no GPU. It takes the paths of GPUs,
which tests on the CPU do not, and an operation whose shape depends on values fails.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import PRESETS, BoundaryConfig, CrfConfig, Kind, PamrConfig, RandomWalkConfig
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch
from dhr.method.survey import Survey, agreed, survey_features
from dhr.ops.discriminant import Discriminant
from dhr.ops.upsample import upsampled_labels
from dhr.prompts import Prompts, Proposals
from dhr.types import Rebalanced

WAITS = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "unique_dim", "unique_consecutive")


class Gpu(TorchDispatchMode):
    """Refuses operations that wait for the device, in a world of fake tensors."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, result = func.overloadpacket.__name__, func(*args, **(kwargs or {}))
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        tensors = [*given, *(one for one in tree_leaves(result) if isinstance(one, Tensor))]
        # A number that Python gives is a tensor without dimensions on the CPU; an operation takes it as an argument.
        copied = len({one.device.type for one in tensors if one.ndim or one.device.type != "cpu"}) > 1
        chosen = name.startswith("index") and any(one.dtype == torch.bool for one in given[1:2])
        if name in WAITS or copied or chosen:
            raise AssertionError(f"{func} waits for the device")
        return result


def indexed() -> bool:
    """Whether a fake tensor can be indexed; PyTorch 2.6 asks CUDA's driver for it."""
    try:
        with FakeTensorMode():
            some(1)[:, None]
    except RuntimeError:
        return False
    return True


@pytest.fixture
def on_gpu() -> Callable[[Callable[[], Any]], Any]:
    """Calls a function with a GPU that has no values."""
    if not indexed():
        pytest.skip("this release of PyTorch needs a driver to index fake tensors")

    def call(function: Callable[[], Any]) -> Any:
        with FakeTensorMode(), Gpu():
            return function()

    return call


def some(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(*shape, dtype=dtype, device="cuda")


def batch(background: bool) -> Batch:
    survey = some(4, 3 + background, 40, 30)
    return Batch(
        some(4, 3, 20, 15), some(4, 16, 40, 30), some(4, 24, 20, 15), some(4, 3, 320, 240),
        some(4, 3, dtype=torch.bool), background=background, survey=survey, held=some(4, 3 + background, 320, 240),
    )  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(BOUNDARIES) - {"sam"}))
def test_no_boundary_correction_waits(on_gpu: Any, kind: Kind) -> None:
    method = replace(PRESETS["released"], survey=0.5)
    boundary = BoundaryConfig(
        kind, kind, CrfConfig(iterations=1), PamrConfig(iterations=1), RandomWalkConfig(steps=2, radius=2)
    )
    made: Rebalanced = on_gpu(lambda: rebalance(batch(kind != "none"), method, boundary))
    assert made.mask.shape == (4, 320, 240) and made.mask.device.type == "cuda"


def test_nothing_waits_beside_the_network_that_segments_anything(on_gpu: Any) -> None:
    def propose(index: int, prompts: Prompts) -> Proposals:
        assert prompts.points is not None
        return Proposals(some(len(prompts.points), 3, 64, 48), some(len(prompts.points), 3))

    config = BoundaryConfig(kind="sam", crf=CrfConfig(iterations=1))
    made: Tensor = on_gpu(
        lambda: BOUNDARIES["sam"](config, Guide(propose=propose))(some(4, 3, 320, 240), some(4, 3, 320, 240))
    )
    assert made.shape == (4, 3, 320, 240) and made.device.type == "cuda"


@pytest.mark.parametrize("name", [*PRESETS])
def test_no_preset_waits(on_gpu: Any, name: str) -> None:
    boundary = BoundaryConfig(kind="none", base="none")
    method = replace(PRESETS[name], rounds=min(2, PRESETS[name].rounds))
    made: Rebalanced = on_gpu(lambda: rebalance(batch(True), method, boundary))
    assert made.quality.device.type == "cuda"


def test_the_survey_waits_for_nothing(on_gpu: Any) -> None:
    def shares() -> Tensor:
        known = Survey(Discriminant(some(7, 16), some(7), some(7)), 0.5, some(7).double())
        valid = some(4, 3, dtype=torch.bool)
        found = known.shares(survey_features(some(4, 16, 40, 30)), some(4, 3, dtype=torch.int64), valid)
        return agreed(found, found)

    assert on_gpu(shares).shape == (4, 3, 1200)


def test_labels_of_the_size_of_the_photograph_are_made_on_the_device(on_gpu: Any) -> None:
    def labels() -> Tensor:
        return upsampled_labels(some(3, 40, 30), some(3, dtype=torch.uint8), (3000, 2000))

    made = on_gpu(labels)
    assert made.shape == (3000, 2000) and made.dtype == torch.uint8 and made.device.type == "cuda"


@pytest.mark.parametrize(
    "work",
    [
        lambda: some(3).sum().item(),
        lambda: bool(some(3).any()),
        lambda: some(3)[some(3, dtype=torch.bool)],
        lambda: torch.tensor([1.0, 2.0], device="cuda"),
        lambda: some(3).cpu(),
        lambda: some(3).new_tensor([1.0, 2.0]) + 1,
        lambda: torch.arange(3).to("cuda"),
    ],
)
def test_what_waits_is_found(on_gpu: Any, work: Callable[[], Any]) -> None:
    with pytest.raises(Exception, match=r"waits for the device|aten\.|data-dependent|dynamic"):
        on_gpu(work)
