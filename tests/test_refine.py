"""dhr.refine: anyone's soft masks, of any kind of array."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dhr
from dhr.errors import ConfigError, DhrError, ShapeError
from dhr.method.config import CrfConfig
from dhr.models.sam import Embedding
from dhr.models.sam.network import Sam
from dhr.prompts import Prompts, Proposals

from .models.sams import write_tiny_sam

KINDS: list[Any] = ["crf", "pamr", "random_walk", "none"]


@pytest.fixture
def image() -> np.ndarray:
    """A dark square on a bright ground, bytes, channels last."""
    picture = np.random.default_rng(0).integers(180, 184, (1, 24, 32, 3), dtype=np.uint8)
    picture[:, 6:18, 8:24] -= 120
    return picture


@pytest.fixture
def scores() -> np.ndarray:
    """A square that is a pixel too small."""
    inside = np.full((1, 1, 24, 32), 0.2, np.float32)
    inside[:, :, 7:17, 9:23] = 0.9
    return np.concatenate([1 - inside, inside], axis=1)


@pytest.fixture
def features(image: np.ndarray) -> np.ndarray:
    return np.moveaxis(image[:, 1::3, 1::4].astype(np.float64) - 120, 3, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_probabilities(kind: Any, image: np.ndarray, scores: np.ndarray, features: np.ndarray) -> None:
    result = dhr.refine(image, scores, kind, features)
    assert result.shape == scores.shape
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.sum(dim=1), torch.ones(1, 24, 32))


def test_the_mask_grows_to_the_edges(image: np.ndarray, scores: np.ndarray) -> None:
    truth = np.zeros((1, 24, 32), np.int64)
    truth[:, 6:18, 8:24] = 1
    assert (scores.argmax(1) != truth).mean() > 0.06
    assert (dhr.refine(image, scores).argmax(dim=1).numpy() != truth).mean() < 0.01


def test_kinds_of_arrays_agree(image: np.ndarray, scores: np.ndarray) -> None:
    expected = dhr.refine(image, scores)
    channels_first = np.moveaxis(image, 3, 1)
    assert torch.equal(dhr.refine(channels_first, scores), expected)
    assert torch.equal(dhr.refine(torch.from_numpy(image), torch.from_numpy(scores)), expected)
    turned = image[..., ::-1]  # a view with negative strides: BGR to RGB
    assert torch.equal(dhr.refine(np.ascontiguousarray(turned), scores), dhr.refine(turned, scores))
    floats = dhr.refine(channels_first.astype(np.float32) / 255, scores)
    torch.testing.assert_close(floats, expected, rtol=0, atol=2e-3)


def test_hard_masks_and_any_scale(image: np.ndarray, scores: np.ndarray) -> None:
    hard = (scores > 0.5).astype(np.uint8)
    result = dhr.refine(image, hard)
    assert result.dtype == torch.float32
    torch.testing.assert_close(dhr.refine(image, 40 * scores), dhr.refine(image, scores), rtol=0, atol=1e-4)


def test_settings_count(image: np.ndarray, scores: np.ndarray) -> None:
    soft = dhr.BoundaryConfig(kind="crf", crf=CrfConfig(iterations=1, bilateral_compat=1.0))
    assert not torch.equal(dhr.refine(image, scores, soft), dhr.refine(image, scores))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "kind", "error", "message"),
    [
        ({"scores": -1.0}, "crf", ShapeError, "must not be negative"),
        ({"scores": float("nan")}, "crf", ShapeError, "NaN or infinity"),
        ({"images": 1000}, "crf", ShapeError, "0..255 or floats in 0..1"),
        ({}, "densecrf", ConfigError, "boundary.kind must be one of"),
        ({}, "random_walk", ConfigError, "give some"),
    ],
)
def test_bad_input_is_one_clear_error(
    change: dict[str, Any], kind: Any, error: type[DhrError], message: str, image: np.ndarray, scores: np.ndarray
) -> None:
    given = {"images": image.astype(np.int64), "scores": scores}
    for name, value in change.items():
        given[name] = given[name].copy()
        given[name][0, 0, 0, 0] = value
    with pytest.raises(error, match=re.escape(message)):
        dhr.refine(given["images"], given["scores"], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_alone_is_refused(kind: Any, image: np.ndarray, scores: np.ndarray, features: np.ndarray) -> None:
    """Its share is 1 wherever it scores, whatever was given."""
    with pytest.raises(ShapeError, match=r"one class, .* add the background"):
        dhr.refine(image, scores[:, 1:], kind, features)


def test_guides_that_do_not_fit_are_refused() -> None:
    image, scores = np.zeros((1, 40, 80, 3)), np.ones((1, 2, 40, 80))
    guides = {"features": np.random.default_rng(0).random((1, 4, 20, 40)), "edges": np.full((1, 1, 20, 40), 0.5)}
    for name, guide in guides.items():
        assert dhr.refine(image, scores, "random_walk", **{name: guide}).shape == scores.shape
        with pytest.raises(ShapeError, match=f"{name} are 40 x 20 .*swapped"):
            dhr.refine(image, scores, "random_walk", **{name: guide.swapaxes(2, 3)})
    with pytest.raises(ShapeError, match=r"edges must be .*0..1"):
        dhr.refine(image, scores, "random_walk", edges=2 * guides["edges"] + 1)


@pytest.mark.parametrize("size", [(3, 24), (24, 3)])
def test_the_scores_say_where_the_channels_are(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random((1, *size, 3))
    scores = np.random.default_rng(1).random((1, 2, *size))
    last, first = dhr.refine(picture, scores), dhr.refine(np.moveaxis(picture, 3, 1), scores)
    assert torch.equal(last, first) and last.shape == (1, 2, *size)
    with pytest.raises(ShapeError, match="first or last"):
        dhr.refine(picture[:, :3, :3], scores[..., :3, :3])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(1, 2, 24, 31), (2, 2, 24, 32), (1, 0, 24, 32), (2, 24, 32), (1, 2, 0, 0)])
def test_scores_of_the_wrong_shape_are_refused(shape: tuple[int, ...], image: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        dhr.refine(image, np.ones(shape))


# A network that segments anything


class Square:
    """A made network that finds the square, and counts what it is asked."""

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, images: torch.Tensor) -> Embedding:
        self.embedded += len(images)
        return Embedding((images,), (images.shape[-2], images.shape[-1]))

    def masks(self, embedding: Embedding, index: int, prompts: Prompts) -> Proposals:
        assert prompts.points is not None
        dark = embedding.maps[0][index].mean(dim=0) < 0.5
        x, y = prompts.points[:, 0].round().long().unbind(dim=1)
        masks = torch.where(dark[y, x][:, None, None], dark, ~dark).float()
        return Proposals(masks[:, None] * 12 - 6, torch.ones(len(x), 1))


def test_a_network_of_ones_own_moves_the_edges(image: np.ndarray, scores: np.ndarray) -> None:
    network = Square()
    result = dhr.refine(np.repeat(image, 2, 0), np.repeat(scores, 2, 0), "sam", segmenter=network)
    truth = np.zeros((2, 24, 32), np.int64)
    truth[:, 6:18, 8:24] = 1
    assert network.embedded == 2 and (result.argmax(dim=1).numpy() == truth).all()
    torch.testing.assert_close(result.sum(dim=1), torch.ones(2, 24, 32))


def test_a_network_of_transformers_is_kept_with_its_embeddings(
    tmp_path: Path, image: np.ndarray, scores: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, count = write_tiny_sam(tmp_path / "sam"), 0
    embed = Sam.embed

    def counted(self: Sam, images: torch.Tensor) -> Embedding:
        nonlocal count
        count += 1
        return embed(self, images)

    monkeypatch.setattr(Sam, "embed", counted)
    settings = {"kind": "sam", "sam.model": str(folder), "sam.regions": 1}
    first = dhr.refine(image, scores, settings)
    assert first.shape == scores.shape and first.isfinite().all()
    hard = dhr.refine(image, (scores > 0.5).astype(np.uint8), settings)
    assert hard.shape == scores.shape and count == 1
    assert torch.equal(dhr.refine(image, scores, settings), first)
    shutil.rmtree(folder)
    with pytest.raises(DhrError, match=r"boundary\.sam\.model"):
        dhr.refine(image, scores, settings)


def test_rebalance_cannot_load_a_network(image: np.ndarray, scores: np.ndarray, features: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"dhr.refine and dhr run load one"):
        dhr.rebalance(scores, features, features, image, boundary="sam")
