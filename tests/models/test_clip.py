"""CLIP without training, on a tiny random one: against transformers' own forward pass and attention, and bad input."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from dhr.errors import ConfigError, WeightsError
from dhr.models.wss import BACKGROUNDS, WssConfig
from dhr.models.wss.attention import doubly_stochastic
from dhr.models.wss.boxes import in_boxes
from dhr.models.wss.clip import ClipMaps, _peak, _refined
from dhr.models.wss.clip_build import WORDS

from .networks import build_wss

NAMES = ("cat", "dog", "tv_monitor", "sky")


def build(folder: Path, **changes: Any) -> ClipMaps:
    model = build_wss(WssConfig(**{"kind": "clip", "backbone": str(folder), **changes}), NAMES)
    assert isinstance(model, ClipMaps)
    return model


def images(b: int = 2, h: int = 48, w: int = 64) -> Tensor:
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def theirs(tiny_clip: Path) -> tuple[Any, Any]:
    """The model as transformers loads it, with its attention, and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    network = transformers.CLIPModel.from_pretrained(tiny_clip, attn_implementation="eager").eval()
    return network, transformers.CLIPTokenizer.from_pretrained(tiny_clip)


def text_features(theirs: tuple[Any, Any], texts: list[str]) -> Tensor:
    """All texts at once, padded."""
    network, tokenizer = theirs
    tokens = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=40)
    with torch.no_grad():
        return normalize(network.get_text_features(**tokens).pooler_output)


def test_texts_are_prompts_of_names_and_surroundings(tiny_clip: Path, theirs: Any) -> None:
    model = build(tiny_clip, words={"dog": "dog puppy"}, backgrounds=("Sky", "sea", "CAT"))
    expected = text_features(
        theirs, [f"a clean origami {x}." for x in ("cat", "dog puppy", "tv monitor", "sky", "sea")]
    )
    torch.testing.assert_close(torch.cat([model.texts, model.surroundings]), expected, rtol=1e-4, atol=1e-5)
    assert len(build(tiny_clip).surroundings) == len(BACKGROUNDS) - 1  # `sky` is a class
    other = build(tiny_clip, prompt="{}")
    torch.testing.assert_close(other.texts[:1], text_features(theirs, ["cat"]), rtol=1e-4, atol=1e-5)


def test_names_with_other_meanings_have_words(tiny_clip: Path, theirs: Any) -> None:
    model = build_wss(WssConfig(kind="clip", backbone=str(tiny_clip), prompt="{}"), ["bird", "x"])
    assert isinstance(model, ClipMaps)
    torch.testing.assert_close(model.texts[:1], text_features(theirs, [WORDS["bird"]]), rtol=1e-4, atol=1e-5)


def expected_maps(theirs: Any, texts: Tensor, pictures: Tensor, tags: list[int], refine: bool) -> np.ndarray:
    """CLIP-ES as its paper tells it, image by image and class by class, in numpy where no gradient is needed."""
    network, _ = theirs
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    kept: list[Tensor] = []
    hook = network.vision_model.encoder.layers[-1].layer_norm1.register_forward_hook(lambda m, i, o: kept.append(o))
    found = []
    for picture in pictures:
        seen = network.vision_model(
            ((picture - mean) / std)[None], interpolate_pos_encoding=True, output_attentions=True
        )
        tokens = network.vision_model.post_layernorm(seen.last_hidden_state)[:, 1:]
        embedded = normalize(network.visual_projection(tokens.mean(dim=1)))
        scores = (network.logit_scale.exp() * embedded @ texts.T).softmax(dim=1)[0]
        attention = torch.stack(seen.attentions)[-8:, 0].mean(dim=(0, 1))[1:, 1:].detach().double().numpy()
        for tag in tags:
            (slope,) = torch.autograd.grad(scores[tag], kept[-1], retain_graph=True)
            weights = slope[0, 1:].mean(dim=0)
            cam = (kept[-1][0, 1:] @ weights).clamp_min(0).detach().numpy()
            cam = (cam - cam.min()) / (np.ptp(cam) or 1)
            if refine:
                affinity = attention
                for _ in range(3):
                    affinity = affinity / affinity.sum(axis=0, keepdims=True)
                    affinity = affinity / affinity.sum(axis=1, keepdims=True)
                affinity = (affinity + affinity.T) / 2
                mask = boxes_by_hand(cam.reshape(6, 8) >= 0.4).ravel()
                cam = (affinity @ affinity * mask) @ cam
                cam = (cam - cam.min()) / (np.ptp(cam) or 1)
            found.append(cam.reshape(6, 8))
    hook.remove()
    return np.array(found).reshape(len(pictures), len(tags), 6, 8)


def boxes_by_hand(mask: np.ndarray) -> np.ndarray:
    ndimage = pytest.importorskip("scipy.ndimage")
    inside = np.zeros_like(mask)
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    for rows, columns in ndimage.find_objects(parts):
        inside[rows, columns] = True
    return inside


@pytest.mark.parametrize("refine", [False, True])
def test_maps_against_the_paper(refine: bool, tiny_clip: Path, theirs: Any) -> None:
    model = build(tiny_clip, refine=refine)
    model.scale = 5.0  # of a tiny random network one text wins by far
    theirs[0].logit_scale.data = torch.tensor(5.0).log()
    for tags in ([0, 1, 2, 3], [2]):
        texts = torch.cat([model.texts[tags], model.surroundings])
        expected = expected_maps(theirs, texts, images(), list(range(len(tags))), refine)
        result = model.maps(images(), tags).cams
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-2, atol=2e-3)
        assert expected.max() == 1


def test_features_are_tokens_of_two_blocks(tiny_clip: Path, theirs: Any) -> None:
    model = build(tiny_clip, blocks=(2, -1), refine=False, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    features = model.maps(images()).features
    states = theirs[0].vision_model(images(), interpolate_pos_encoding=True, output_hidden_states=True).hidden_states
    expected = torch.cat([normalize(states[index][:, 1:].transpose(1, 2)) for index in (3, 10)], dim=1)
    torch.testing.assert_close(features.flatten(2), expected.detach(), rtol=1e-3, atol=1e-4)
    assert features.shape[1] == model.dim


def test_other_tags_make_other_maps_but_the_order_does_not_matter(tiny_clip: Path) -> None:
    """They compete: what a photograph is known to show decides on the maps of all."""
    model = build(tiny_clip)
    both, turned, alone = (model.maps(images(), tags).cams for tags in ([0, 1], [1, 0], [0]))
    torch.testing.assert_close(both, turned.flip(1), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(both[:, :1], alone, atol=1e-3)
    assert model.maps(images(), []).cams.shape == (2, 0, 6, 8)


def test_synonyms_share_a_score_and_negatives_compete(tiny_clip: Path, theirs: Any) -> None:
    words = {"cat": {"names": ("cat", "kitten"), "not": ("fox",)}}
    model = build(tiny_clip, words=words, backgrounds=("sea",), refine=False, prompt="{}")
    alone = build(tiny_clip, words={"dog": ("dog",)}, backgrounds=("sea",), refine=False, prompt="{}")
    expected = text_features(theirs, ["cat", "kitten", "fox", "dog", "tv monitor", "sky", "sea"])
    torch.testing.assert_close(torch.cat([model.texts, model.surroundings]), expected, rtol=1e-4, atol=1e-5)
    model.scale = alone.scale = 5.0  # of a tiny random network one text wins by far
    both, before = model.maps(images(), [0, 1]).cams, alone.maps(images(), [0, 1]).cams
    assert not torch.allclose(both, before, atol=1e-3)
    torch.testing.assert_close(model.maps(images(), [1]).cams, alone.maps(images(), [1]).cams)  # they compete no more
    one = build(tiny_clip, words={"cat": ("cat", "kitten")}, backgrounds=())
    assert one.maps(images(), [0]).cams.amax() == 1


def test_several_prompts_are_averaged(tiny_clip: Path, theirs: Any) -> None:
    model = build(tiny_clip, prompt=("{}", "a {}."), backgrounds=())
    parts = [text_features(theirs, [prompt.format(name) for name in ("cat", "dog")]) for prompt in ("{}", "a {}.")]
    torch.testing.assert_close(model.texts[:2], normalize(parts[0] + parts[1]), rtol=1e-4, atol=1e-5)


def test_names_that_cannot_be_read_are_one_line(tiny_clip: Path) -> None:
    refused(ConfigError, tiny_clip, "no token", "猫", words={"cat": "猫"})  # this tokenizer has small letters only
    refused(ConfigError, tiny_clip, "tokens", "reads 40", words={"cat": "cat " * 20})


def test_one_class_without_surroundings_has_a_map(tiny_clip: Path) -> None:
    model = build(tiny_clip, backgrounds=())
    assert model.maps(images(), [0]).cams.amax() == 1


def test_nothing_remains(tiny_clip: Path) -> None:
    model = build(tiny_clip)
    maps = model.maps(images())
    assert not maps.cams.requires_grad and not any(p.requires_grad or p.grad is not None for p in model.parameters())
    with torch.inference_mode():
        assert torch.equal(model.maps(images()).cams, maps.cams)


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=6))
def test_boxes_of_connected_parts(rows: list[list[bool]]) -> None:
    mask = np.array(rows)
    assert np.array_equal(in_boxes(torch.from_numpy(mask)[None, None])[0, 0].numpy(), boxes_by_hand(mask))


def test_affinity_is_symmetric_and_keeps_what_is_even() -> None:
    affinity = doubly_stochastic(torch.rand(2, 12, 12) + 0.1, rounds=30)
    torch.testing.assert_close(affinity, affinity.transpose(1, 2))
    torch.testing.assert_close(affinity.sum(dim=1), torch.ones(2, 12), rtol=1e-3, atol=1e-3)
    even = torch.ones(2, 1, 3, 4)
    torch.testing.assert_close(_refined(even, affinity), even, rtol=1e-2, atol=1e-2)


def test_a_map_without_a_peak_is_zero() -> None:
    maps = torch.stack([torch.full((3, 4), 2.0), torch.arange(12.0).view(3, 4) - 5])[None]
    assert torch.equal(_peak(maps)[0, 0], torch.zeros(3, 4))
    assert (_peak(maps)[0, 1].amin(), _peak(maps)[0, 1].amax()) == (0, 1)


# Weights


def refused(error: type[Exception], folder: Path | str, *words: str, **changes: Any) -> None:
    with pytest.raises(error) as caught:
        build(Path(folder), **changes)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), caught.value


def test_a_folder_as_weights_is_the_same_model(tiny_clip: Path) -> None:
    expected = build(tiny_clip).maps(images()).cams
    result = build(Path("openai/clip-vit-base-patch16"), weights=str(tiny_clip)).maps(images()).cams
    assert torch.equal(result, expected)


def test_random_weights_of_an_architecture(tiny_clip: Path) -> None:
    torch.manual_seed(0)
    first = build(tiny_clip, weights="none").maps(images())
    torch.manual_seed(0)
    assert torch.equal(build(tiny_clip, weights="none").maps(images()).features, first.features)
    assert not torch.equal(build(tiny_clip).maps(images()).features, first.features)


@pytest.mark.usefixtures("no_network")
def test_what_is_no_clip(tiny_clip: Path, tmp_path: Path) -> None:
    refused(ConfigError, "resnet50", "openai/clip-vit-base-patch16", "'resnet50'")
    refused(WeightsError, "openai/clip-vit-base-patch16", "--wss.weights DIR", "'openai/clip-vit-base-patch16'")
    refused(WeightsError, tiny_clip, "no folder", weights=str(tmp_path / "nowhere"))
    refused(WeightsError, tmp_path, str(tmp_path), "--wss.weights DIR")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    refused(ConfigError, tmp_path, "bert", "expected a CLIP")
    refused(ConfigError, tiny_clip, "no class zebra", words={"zebra": "horse"})
    refused(ConfigError, tiny_clip, "wss.blocks", blocks=(0, 10))
    refused(ConfigError, tiny_clip, "wss.prompt", prompt="a photo")
    refused(ConfigError, tiny_clip, "wss.cam", cam="layercam")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("damage", ["cut", "pickle only", "no tokenizer", "part", "other width"])
def test_a_folder_that_is_damaged(damage: str, tiny_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    weights = folder / "model.safetensors"
    state = load_file(weights)
    words = [str(folder)]
    match damage:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "pickle only":
            weights.unlink()
            torch.save(state, folder / "pytorch_model.bin")
            words.append("no safetensors")
        case "no tokenizer":
            for path in folder.glob("*token*"):
                path.unlink()
            words.append("tokenizer")
        case "part":
            del state["visual_projection.weight"]
            save_file(state, weights, {"format": "pt"})
            words += ["another architecture", "visual_projection.weight", "1 of"]
        case "other width":
            settings = json.loads((folder / "config.json").read_text())
            settings["vision_config"]["intermediate_size"] = 64
            (folder / "config.json").write_text(json.dumps(settings))
            words += ["another architecture", "mlp.fc1"]
    refused(WeightsError, folder, *words)


# Runs


def test_a_run_needs_no_training(tiny_clip: Path, fresh: Any, dhr: Any, made: Any, tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    call = fresh.run("--wss.kind", "clip", "--wss.backbone", str(folder), "--wss.weights", "hub")
    ended = dhr(call)
    assert ended.code == 0, ended.err
    assert "classifier:" not in ended.out and not (fresh.out / "classifier.safetensors").exists()
    first = made(fresh.out)
    assert sum(name.startswith("masks/") for name in first) == 5
    shutil.rmtree(fresh.out)
    assert dhr(call).code == 0 and made(fresh.out) == first
    state = load_file(folder / "model.safetensors")
    save_file({key: value + 1e-3 for key, value in state.items()}, folder / "model.safetensors", {"format": "pt"})
    ended = dhr(call)  # finished, but with other weights
    assert ended.code == 2 and "wss.backbone changed" in ended.err, ended.err
    ended = dhr([*call, "--recursion"])
    assert ended.code == 2 and "recursion needs" in ended.err and "dhr train --masks" in ended.err
    ended = dhr([*call, "--classifier.file", str(folder / "model.safetensors")])
    assert ended.code == 2 and ended.err.count("\n") == 1
