"""Cards say what the models are: compared with timm's facts, and with the models as they are built."""

import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from dhr.models.cards import CARDS, CLIP, ModelCard, presence
from dhr.models.config import WORD_KINDS
from dhr.models.uss import USS_MODELS, UssConfig, build_uss
from dhr.models.words.cosines import WordCosines
from dhr.models.wss import WssConfig
from dhr.sources import SOURCES

from .networks import build_wss

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from published import PUBLISHED, network

every_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


def test_every_kind_has_a_card() -> None:
    kinds = {role: {card.settings["kind"] for card in CARDS if card.role == role} for role in ("uss", "wss")}
    assert kinds["uss"] == set(USS_MODELS)
    assert kinds["wss"] == set(SOURCES) - {"irn", "student"}, "these have no weights of their own on a hub"
    assert len({card.name for card in CARDS}) == len(CARDS)


@every_card
def test_facts_are_those_of_timm(card: ModelCard) -> None:
    model = card.settings.get("model", card.settings.get("backbone", ""))
    if card.file or not timm.is_model(model):
        assert card.hub is None or card.settings["kind"] in WORD_KINDS
        return
    facts = timm.get_pretrained_cfg(model)
    assert facts is not None
    assert card.hub == facts.hf_hub_id
    assert card.scaling == (facts.mean, facts.std)
    known = {"apache-2.0": "Apache-2.0", "dinov3-license": "DINOv3 licence"}
    assert facts.license is None or card.licence == known[facts.license]  # older releases of timm name few


@every_card
def test_dimensions_are_those_of_the_model(card: ModelCard) -> None:
    if card.settings["kind"] in (*WORD_KINDS, "files", "stego", "cause", "hp"):
        pytest.skip("needs its weights or maps to be built")
    with torch.device("meta"):  # shapes without numbers
        if card.role == "uss":
            uss = build_uss(UssConfig(**card.settings, weights="none"))  # type: ignore[arg-type]
            assert uss.dim == card.dim
            patch = getattr(uss, "patch", (4, 4))
            assert patch == (card.stride, card.stride)
            assert card.parameters == millions(uss)
        else:
            wss = build_wss(WssConfig(**card.settings, weights="none"), ["a", "b"])  # type: ignore[arg-type]
            assert wss.dim == card.dim
            assert card.parameters == millions(wss)
            assert wss.maps(torch.empty(1, 3, 64, 64)).cams.shape[-2:] == (64 // card.stride, 64 // card.stride)


def test_networks_that_find_names_have_the_published_size() -> None:
    cards = {
        card.name: card for card in CARDS if card.settings["kind"] in WORD_KINDS and card.settings["kind"] != "clip"
    }
    assert set(cards) == set(PUBLISHED)
    for name, card in cards.items():
        with torch.device("meta"):  # shapes without numbers
            model = network(name)
            assert card.parameters == millions(model), name
            if isinstance(model, WordCosines):
                assert (model.dim, model.tower.patch) == (card.dim, card.stride), name
            elif card.settings["kind"] != "boxes":  # those have no features
                features = model.encode(torch.empty(1, 3, 64, 64)).features
                side = model.pixels.side[0] // card.stride
                assert features.shape == (1, card.dim, side, side), name
    mask = cards["MaskCLIP, CLIP B/16"]
    clip = next(card for card in CARDS if card.settings["kind"] == "clip")
    assert (clip.parameters, clip.stride, clip.dim) == (mask.parameters, mask.stride, 2 * mask.dim)


def millions(model: Any) -> float:
    """Millions of parameters, as a card has them."""
    count = sum(one.numel() for one in model.parameters()) if isinstance(model, nn.Module) else 0
    return round(count / 1e6, 1)


def test_clip_expects_what_transformers_says() -> None:
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    assert [list(one) for one in CLIP] == [OPENAI_CLIP_MEAN, OPENAI_CLIP_STD]


def test_weights_in_the_cache_are_found(no_network: None, tmp_path: Path) -> None:
    card = next(card for card in CARDS if card.hub == "timm/resnet50.a1_in1k")
    assert presence(card) == "downloaded at first use"
    folder = tmp_path / "hub" / "models--timm--resnet50.a1_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "model.safetensors").touch()
    assert presence(card) == "here"
    assert presence(next(card for card in CARDS if card.name == "SAM 3")) == "on request"
    assert {presence(card) for card in CARDS if card.hub is None} == {"none needed", "a file that you name"}
