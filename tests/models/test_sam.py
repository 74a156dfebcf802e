"""Networks that segment anything: one contract for every kind, parity with transformers, and bad input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from dhr.errors import ConfigError, ItemError, WeightsError
from dhr.models.sam import Embedding, Segmenter
from dhr.models.sam.build import build_sam, sam_remote
from dhr.models.sam.network import Sam
from dhr.models.sam.remembered import Remembered
from dhr.prompts import Prompts, Proposals

from .damaged import damaged
from .sams import SAMS, write_tiny_sam

every_kind = pytest.mark.parametrize("kind", SAMS)
SETTING = "boundary.sam.model"


def images(b: int = 2, h: int = 48, w: int = 80) -> Tensor:
    return torch.randint(0, 256, (b, 3, h, w), generator=torch.Generator().manual_seed(0)) / 255


def some_prompts(count: int = 3, h: int = 48, w: int = 80) -> Prompts:
    random = torch.Generator().manual_seed(1)
    points = torch.rand(count, 1, 2, generator=random) * torch.tensor([w, h])
    sides = torch.rand(count, 4, generator=random) * 0.4 * torch.tensor([w, h, w, h])
    boxes = sides + torch.tensor([0, 0, w / 2, h / 2])
    low = torch.randn(count, 12, 20, generator=random)
    return Prompts(points, torch.ones(count, 1, dtype=torch.int64), boxes, low)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small random network of a kind."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = write_tiny_sam(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return folder


@pytest.fixture
def build(folder_of: Callable[[str], Path]) -> Callable[[str], Sam]:
    return lambda kind: build_sam(str(folder_of(kind)), "hub", SETTING)


@every_kind
def test_it_is_a_segmenter(kind: str, build: Callable[[str], Sam]) -> None:
    network = build(kind)
    assert isinstance(network, Segmenter)
    embedding = network.embed(images())
    assert all(value.dtype == torch.float16 and len(value) == 2 for value in embedding.maps)
    assert len(embedding.maps) == network.frame.levels
    made = network.masks(embedding, 1, some_prompts())
    assert made.logits.shape[:2] == (3, 3) and made.scores.shape == (3, 3)
    assert made.logits.isfinite().all() and made.scores.isfinite().all()
    again = network.masks(network.embed(images()), 1, some_prompts())
    assert torch.equal(again.logits, made.logits) and torch.equal(again.scores, made.scores)
    assert not any(one.requires_grad for one in network.parameters())


@every_kind
@pytest.mark.parametrize("part", ["points", "boxes", "low"])
def test_each_prompt_counts(kind: str, part: str, build: Callable[[str], Sam]) -> None:
    network = build(kind)
    embedding, given = network.embed(images()), some_prompts()
    alone = {
        "points": Prompts(points=given.points, labels=given.labels),
        "boxes": Prompts(boxes=given.boxes),
        "low": Prompts(boxes=given.boxes, low=given.low),
    }[part]
    first = network.masks(embedding, 0, alone)
    assert not torch.allclose(first.logits[0], first.logits[1], atol=1e-4)
    whole = network.masks(embedding, 0, given)
    assert not torch.allclose(first.logits, whole.logits, atol=1e-4)
    other = network.masks(embedding, 1, alone)
    assert not torch.allclose(first.logits, other.logits, atol=1e-4)


@every_kind
def test_prompts_and_images_do_not_touch_each_other(kind: str, build: Callable[[str], Sam]) -> None:
    network, given = build(kind), some_prompts(20)
    together = network.masks(network.embed(images()), 1, given)
    for index in (0, 17):
        one = Prompts(*(value[index : index + 1] for value in vars(given).values()))
        alone = network.masks(network.embed(images()[1:]), 0, one)
        torch.testing.assert_close(alone.logits, together.logits[index : index + 1], rtol=2e-2, atol=2e-2)
        torch.testing.assert_close(alone.scores, together.scores[index : index + 1], rtol=2e-2, atol=2e-2)


@every_kind
@pytest.mark.parametrize("size", [(1, 1), (33, 200), (200, 33), (64, 64)])
def test_sizes_of_any_kind(kind: str, size: tuple[int, int], build: Callable[[str], Sam]) -> None:
    network = build(kind)
    embedding = network.embed(images(1, *size))
    made = network.masks(embedding, 0, some_prompts(2, *size))
    u, v = made.logits.shape[-2:]
    assert embedding.size == size and made.logits.isfinite().all()
    if network.frame.keeps_shape and min(size) > 1:
        assert abs(u / v - size[0] / size[1]) < 0.15 * size[0] / size[1]


@every_kind
def test_masks_are_those_of_transformers(kind: str, folder_of: Any, build: Callable[[str], Sam]) -> None:
    """Their processors and their forward pass, with pixels, points and boxes."""
    import transformers

    folder, network, picture = folder_of(kind), build(kind), images(1)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    made = {"SamModel": "SamProcessor", "SamHQModel": "SamHQProcessor", "Sam3TrackerModel": "Sam3TrackerProcessor"}
    whole = getattr(transformers, made.get(kind, "Sam2Processor"))(processor)
    theirs = getattr(transformers, kind).from_pretrained(folder).eval()
    given = some_prompts(2)
    assert given.points is not None and given.boxes is not None
    inputs = whole(
        images=[(picture[0] * 255).round().byte().numpy().transpose(1, 2, 0)],
        input_points=[given.points.tolist()], input_labels=[[[1], [1]]], input_boxes=[given.boxes.tolist()],
        return_tensors="pt",
    )  # fmt: skip
    sizes = [inputs.pop(name, None) for name in ("original_sizes", "reshaped_input_sizes")]
    with torch.no_grad():
        output = theirs(**inputs)
    more = [one for one in sizes if one is not None]
    expected = whole.image_processor.post_process_masks(output.pred_masks, *more, binarize=False)[0]
    result = network.masks(network.embed(picture), 0, Prompts(given.points, given.labels, given.boxes))
    torch.testing.assert_close(result.scores, output.iou_scores[0], rtol=2e-2, atol=2e-2)
    fine = interpolate(result.logits, (48, 80), mode="bilinear", align_corners=False)
    ours, same = (avg_pool2d(one, 8) for one in (fine, expected))  # they resample twice, which blurs random masks
    assert np.corrcoef(ours.flatten(), same.flatten())[0, 1] > 0.995
    assert float((ours - same).abs().mean()) < 0.1 * float(same.std())


@every_kind
def test_a_photograph_of_many_tags_is_embedded_once(
    kind: str, build: Callable[[str], Sam], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, calls = build(kind), {"images": 0, "prompts": 0}
    embed, forward = network.network.get_image_embeddings, network.network.forward

    def counted(pixels: Tensor) -> Any:
        calls["images"] += len(pixels)
        return embed(pixels)

    def decoded(*args: Any, **more: Any) -> Any:
        calls["prompts"] += len(more["input_points"])
        assert "pixel_values" not in more
        return forward(*args, **more)

    monkeypatch.setattr(network.network, "get_image_embeddings", counted)
    monkeypatch.setattr(network.network, "forward", decoded)
    network.masks(network.embed(images(1)), 0, some_prompts(8))
    assert calls == {"images": 1, "prompts": 8}


def test_random_weights_are_always_the_same(folder_of: Any) -> None:
    first, second = (build_sam(str(folder_of("Sam2Model")), "none", SETTING) for _ in range(2))
    assert torch.equal(first.embed(images()).maps[-1], second.embed(images()).maps[-1])
    assert not torch.equal(
        first.embed(images()).maps[-1], build_sam(str(folder_of("Sam2Model")), "hub", SETTING).embed(images()).maps[-1]
    )


def test_a_folder_as_weights_is_the_same_network(folder_of: Any) -> None:
    folder = folder_of("SamModel")
    first, second = build_sam(str(folder), "hub", SETTING), build_sam("facebook/sam-vit-base", str(folder), SETTING)
    assert torch.equal(first.embed(images()).maps[0], second.embed(images()).maps[0])


def test_the_files_of_a_video_model_hold_its_image_model(folder_of: Any, tmp_path: Path) -> None:
    shutil.copytree(folder_of("Sam2Model"), tmp_path / "video")
    path = tmp_path / "video" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "sam2_video"}))
    expected = build_sam(str(folder_of("Sam2Model")), "hub", SETTING).embed(images())
    assert torch.equal(build_sam(str(tmp_path / "video"), "hub", SETTING).embed(images()).maps[0], expected.maps[0])


def test_an_embedding_that_is_not_finite_is_refused(build: Callable[[str], Sam]) -> None:
    network = build("SamModel")
    for parameter in network.parameters():
        parameter.fill_(torch.nan)
    with pytest.raises(ItemError, match=r"embedding of SamModel holds NaN .*--precision float32"):
        network.embed(images())


# The last images


class Counted:
    """A segmenter that counts the images that it embeds."""

    def __init__(self) -> None:
        self.count = 0

    def embed(self, images: Tensor) -> Embedding:
        self.count += len(images)
        return Embedding((images.mean(dim=1),), (images.shape[-2], images.shape[-1]))

    def masks(self, embedding: Embedding, index: int, prompts: Prompts) -> Proposals:
        raise NotImplementedError


def test_the_last_images_are_remembered() -> None:
    inner = Counted()
    network, batch = Remembered(inner), images(3, 8, 10)
    first = network.embed(batch)
    assert torch.equal(network.embed(batch.clone()).maps[0], first.maps[0]) and inner.count == 3
    assert torch.equal(network.embed(batch[1:2]).maps[0], first.maps[0][1:2]) and inner.count == 3
    assert network.embed(batch.flip(-1)).maps[0].shape == first.maps[0].shape and inner.count == 6
    for seed in range(20):
        network.embed(images(1, 8, 10) * seed / 20)
    network.embed(batch)
    assert inner.count == 29


# Bad input


def refused(error: type[Exception], model: Path | str, *words: str, weights: str = "hub") -> None:
    with pytest.raises(error) as caught:
        build_sam(str(model), weights, SETTING)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), caught.value


@pytest.mark.usefixtures("no_network")
def test_what_is_no_sam(folder_of: Any, tmp_path: Path, tiny_clip: Path) -> None:
    refused(WeightsError, "facebook/sam-vit-base", "'facebook/sam-vit-base'", "--boundary.sam.weights DIR")
    refused(ConfigError, "sam", "boundary.sam.model", "'sam'")
    refused(WeightsError, folder_of("SamModel"), "no folder", weights=str(tmp_path / "nowhere"))
    refused(WeightsError, tmp_path, str(tmp_path))
    refused(ConfigError, tiny_clip, "clip", "SamModel, SamHQModel, Sam2Model, Sam3TrackerModel, EdgeTamModel")
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    refused(ConfigError, tmp_path, "without a type")
    remote = sam_remote("facebook/sam-vit-base", "hub", SETTING)
    assert remote is not None and remote.setting == "boundary.sam.weights"
    assert sam_remote(str(tmp_path), "hub", SETTING) is None


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("damage", ["cut", "pickle only", "part", "other width", "no settings", "settings cut"])
def test_a_folder_that_is_damaged(damage: str, folder_of: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sam"
    words = damaged(folder_of("SamModel"), folder, damage, "mask_decoder.iou_token.weight")
    config = folder / "config.json"
    match damage:
        case "other width":
            settings = json.loads(config.read_text())
            settings["mask_decoder_config"]["mlp_dim"] = 40
            config.write_text(json.dumps(settings))
            words += ["another architecture", "mlp"]
        case "no settings":
            config.unlink()
        case "settings cut":
            config.write_text(config.read_text()[:30])
    refused(WeightsError, folder, *words)
