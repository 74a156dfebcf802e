"""Masks in the midst of training."""

from dataclasses import replace

import pytest
import torch

from dhr.data.samples import VOID
from dhr.method.config import PRESETS, BoundaryConfig
from dhr.method.survey import Survey
from dhr.ops.discriminant import Discriminant
from dhr.train.live import LiveMethod, Targets, given_targets, live_targets
from dhr.train.student_crops import CropBatch

PLAIN = BoundaryConfig(kind="none", base="none")


def halves(background: bool = False, batch: int = 1) -> tuple[torch.Tensor, CropBatch]:
    """CAMs and crops of two classes, 3 on the left and 1 on the right, with noise; 4 classes can be tagged."""
    generator = torch.Generator().manual_seed(0)
    left = torch.zeros(8, 8)
    left[:, :4] = 1
    shown = torch.stack([torch.zeros(8, 8), 1 - left, torch.zeros(8, 8), left])
    cams = (shown + 0.05 * torch.rand(4, 8, 8, generator=generator)).expand(batch, 4, 8, 8)
    offset = int(background)
    fine = left.repeat_interleave(4, 0).repeat_interleave(4, 1)
    base = torch.where(fine > 0, 3 + offset, 1 + offset)
    features = torch.cat([left[None], 1 - left[None], 0.1 * torch.rand(2, 8, 8, generator=generator)])
    crops = CropBatch(
        images=torch.rand(batch, 3, 32, 32, generator=generator),
        tags=torch.tensor([[0.0, 1, 0, 1]]).expand(batch, 4),
        classes=torch.tensor([[3, 1, 0]]).expand(batch, 3),
        valid=torch.tensor([[True, True, False]]).repeat(batch, 1),
        base=base.expand(batch, 32, 32),
        uss=features.expand(batch, 4, 8, 8),
    )
    return cams, crops


def live(cams: torch.Tensor, crops: CropBatch, base: str = "masks", background: bool = False) -> Targets:
    return live_targets(cams, crops.uss, crops, LiveMethod(base == "masks", background, PRESETS["default"], PLAIN))


@pytest.mark.parametrize("base", ["masks", "maps"])
@pytest.mark.parametrize("background", [False, True])
def test_labels_are_ids_of_tagged_classes(base: str, background: bool) -> None:
    cams, crops = halves(background)
    targets = live(cams, crops, base, background)
    offset = int(background)
    allowed = {0, 1 + offset, 3 + offset} if background else {1, 3}
    assert set(targets.labels.unique().tolist()) <= allowed
    if not background:
        assert (targets.labels == crops.base).float().mean() > 0.95


@pytest.mark.parametrize("base", ["masks", "maps"])
def test_a_photograph_without_tags_is_background_for_certain(base: str) -> None:
    cams, crops = halves(background=True, batch=2)
    tags, valid = crops.tags.clone(), crops.valid.clone()
    tags[1], valid[1] = 0, False
    targets = live(cams, crops._replace(tags=tags, valid=valid), base, background=True)
    assert (targets.labels[1] == 0).all()
    assert targets.empty.tolist() == [False, False] and (targets.labels[0] > 0).any()


def test_a_crop_without_its_tags_teaches_nothing() -> None:
    cams, crops = halves(batch=2)
    crops.valid[1] = False
    targets = live(cams, crops)
    assert targets.empty.tolist() == [False, True]
    assert (targets.labels[1] == VOID).all()
    alone = live(*halves(batch=1))
    assert torch.equal(targets.labels[:1], alone.labels)


def test_a_void_base_leaves_the_maps() -> None:
    """Without any base mask the classes have no centroids; nothing breaks, and labels stay among the tags."""
    cams, crops = halves()
    void = crops._replace(base=torch.full_like(crops.base, VOID))
    targets = live(cams, void)
    assert set(targets.labels.unique().tolist()) <= {1, 3}
    assert given_targets(void).empty.tolist() == [True]


def test_nothing_waits_for_the_device(no_sync: torch.utils._python_dispatch.TorchDispatchMode, unchecked: None) -> None:
    cams, crops = halves(batch=2)
    with no_sync:
        live_targets(cams.double(), crops.uss.double(), crops, LiveMethod(True, False, PRESETS["default"], PLAIN))


@pytest.mark.parametrize("background", [False, True])
def test_what_all_photographs_say_counts(background: bool) -> None:
    """A survey that is sure of the opposite of what the maps show turns the masks round."""
    cams, crops = halves(background)
    offset = int(background)
    weights = torch.zeros(4 + offset, 4)
    weights[3 + offset, 1], weights[1 + offset, 0] = 100, 100  # class 3 on the right, class 1 on the left
    known = Discriminant(weights, torch.zeros(4 + offset), torch.ones(4 + offset))
    survey = Survey(known, trust=1.0, agreement=torch.ones(4 + offset).double())
    method = replace(PRESETS["default"], survey=1.0)
    targets = live_targets(cams, crops.uss, crops, LiveMethod(False, background, method, PLAIN, survey))
    expected = torch.where(crops.base == 3 + offset, 1 + offset, 3 + offset)
    assert (targets.labels == expected).float().mean() > 0.9
