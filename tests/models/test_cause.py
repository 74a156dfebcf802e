"""CAUSE's head: the authors' checkpoints against the definition; what is missing or of another model is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, normalize

from dhr.errors import WeightsError
from dhr.models.uss import UssConfig, build_uss
from dhr.models.uss.cause import CauseHead

from .heads import (
    CODE,
    CONCEPTS,
    MODEL,
    cause_codebook,
    cause_state,
    dim_of,
    network_state,
    write_cause,
    write_cause_branches,
    write_stego,
)

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def below(tmp_path: Path) -> UssConfig:
    torch.save(network_state(), tmp_path / "vit.pth")
    return UssConfig(model=MODEL, weights=str(tmp_path / "vit.pth"))


def defined(tokens: Tensor, state: dict[str, Tensor], codebook: Tensor) -> Tensor:
    """The decoder cell by cell, in float64; tokens (n, d)."""
    state = {key: value.double() for key, value in state.items()}
    tokens, codebook = tokens.double(), codebook.double()
    dim = tokens.shape[1]

    def attention(name: str, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weight, bias = state[f"tr.{name}.in_proj_weight"], state[f"tr.{name}.in_proj_bias"]
        q, k, v = (one @ weight[n * dim : (n + 1) * dim].T + bias[n * dim : (n + 1) * dim]
                   for n, one in enumerate((query, key, value)))  # fmt: skip
        out = (q @ k.T / dim**0.5).softmax(dim=1) @ v
        return out @ state[f"tr.{name}.out_proj.weight"].T + state[f"tr.{name}.out_proj.bias"]

    def norm(x: Tensor, n: int) -> Tensor:
        return layer_norm(x, (dim,), state[f"tr.norm{n}.weight"], state[f"tr.norm{n}.bias"])

    def linear(x: Tensor, name: str) -> Tensor:
        weight = state[f"tr.{name}.weight"]
        return x @ weight.reshape(weight.shape[0], -1).T + state[f"tr.{name}.bias"]

    query = codebook[(normalize(tokens, dim=1) @ normalize(codebook, dim=1).T).argmax(dim=1)]
    places = state["query_pos"]
    x = norm(query + attention("self_attn", query + places, query + places, query), 1)
    x = norm(x + attention("multihead_attn", x + places, tokens, tokens), 2)
    x = tokens + norm(x + linear(linear(x, "linear1").relu(), "linear2"), 3)
    return linear(x, "f1") + linear(linear(x, "f2.0").relu(), "f2.2")


def test_the_authors_checkpoint_is_the_definition(below: UssConfig, tmp_path: Path) -> None:
    model = build_uss(replace(below, kind="cause", head=str(write_cause(tmp_path / "segment_tr.pth"))))
    tokens = build_uss(below)(IMAGES)
    assert tokens.shape[2:] == (4, 4)
    codes = model(IMAGES)
    assert codes.shape == (2, CODE, 4, 4)
    for one, own in zip(codes, tokens, strict=True):
        expected = defined(own.flatten(1).T, cause_state(model.backbone.dim), cause_codebook(model.backbone.dim))
        torch.testing.assert_close(one.flatten(1).T.double(), expected, rtol=1e-3, atol=1e-3)


def test_places_are_interpolated_in_two_dimensions(below: UssConfig, tmp_path: Path) -> None:
    """A ramp stays a ramp: two cells of the square are four of a grid that is twice as wide, and two of its rows."""
    head = CauseHead(6, CODE, 8, 8, 3)
    ramp = torch.arange(8.0)
    head.query_pos.data = (ramp[:, None] + 10 * ramp).reshape(64, 1).expand(-1, 6).contiguous()
    wide = head._places((8, 16)).reshape(8, 16, 6)[..., 0]
    torch.testing.assert_close(wide[4, 10] - wide[4, 6], torch.tensor(20.0))
    torch.testing.assert_close(wide[5, 7] - wide[3, 7], torch.tensor(2.0))
    model = build_uss(replace(below, kind="cause", head=str(write_cause(tmp_path / "segment_tr.pth"))))
    assert model(torch.rand(1, 3, 32, 160)).shape == (1, CODE, 2, 10)


@pytest.mark.parametrize("name", ["modular.npy", "cluster_tr.pth"])
def test_the_codebook_lies_beside_it(name: str, below: UssConfig, tmp_path: Path) -> None:
    path = write_cause(tmp_path / "segment_tr.pth")
    config = replace(below, kind="cause", head=str(path))
    expected = build_uss(config)(IMAGES)
    book = cause_codebook(dim_of(network_state()))
    (tmp_path / "modular.npy").unlink()
    if name == "modular.npy":
        np.save(tmp_path / name, book.numpy())
    else:
        torch.save({"codebook": book, "cluster_probe": torch.zeros(27, CODE)}, tmp_path / name)
    assert torch.equal(build_uss(config)(IMAGES), expected)
    (tmp_path / name).write_bytes(b"spoilt")
    with pytest.raises(WeightsError, match="is damaged"):
        build_uss(config)
    (tmp_path / name).unlink()
    with pytest.raises(WeightsError, match=r"needs its codebook beside it, cluster_tr\.pth or modular\.npy"):
        build_uss(config)


def test_the_variant_without_a_decoder_is_two_branches(below: UssConfig, tmp_path: Path) -> None:
    path = write_cause_branches(tmp_path / "segment_mlp.pth")
    state = {key.removeprefix("head_ema."): value for key, value in torch.load(path, weights_only=True).items()}
    tokens = build_uss(below)(IMAGES).permute(0, 2, 3, 1)

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"][:, :, 0, 0].T + state[f"{name}.bias"]

    expected = linear(tokens, "f1") + linear(linear(tokens, "f2.0").relu(), "f2.2")
    codes = build_uss(replace(below, kind="cause", head=str(path)))(IMAGES)
    torch.testing.assert_close(codes, expected.permute(0, 3, 1, 2), rtol=1e-3, atol=1e-3)


def test_what_is_of_another_model_is_refused(below: UssConfig, tmp_path: Path) -> None:
    path = write_cause(tmp_path / "segment_tr.pth")
    config = replace(below, kind="cause", head=str(path))
    with pytest.raises(WeightsError, match=r"expected head_ema\.tr\.f1\.weight, it has net\."):
        build_uss(replace(config, head=str(write_stego(tmp_path / "stego.ckpt"))))
    with pytest.raises(WeightsError, match=r"sits on features of 64 channels, uss.model 'vit_tiny"):
        build_uss(replace(config, model="vit_tiny_patch16_224", weights="none"))
    np.save(tmp_path / "modular.npy", np.zeros((CONCEPTS, 5), np.float32))
    with pytest.raises(WeightsError, match="the codebook beside it on 5"):
        build_uss(config)
    np.save(tmp_path / "modular.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(WeightsError, match=r"modular\.npy.*is damaged"):
        build_uss(config)
    np.save(tmp_path / "modular.npy", cause_codebook(64).numpy())
    state = torch.load(path, weights_only=True)
    torch.save({**state, "head_ema.query_pos": torch.zeros(15, 64)}, path)
    with pytest.raises(WeightsError, match="a square grid"):
        build_uss(config)
