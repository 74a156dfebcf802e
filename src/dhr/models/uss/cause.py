"""CAUSE (Kim, Lee and Ro, 2023, arXiv:2310.07379): a transformer decoder whose queries are discrete concepts.

The names of the parameters are the authors'. Their checkpoints hold the head (``segment_tr.pth``, or
``segment_mlp.pth`` of the variant without a decoder); the codebook of concepts lies in a second file.
"""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, relu

from dhr.errors import WeightsError
from dhr.models.uss import UssConfig
from dhr.models.uss.backbone import build_backbone
from dhr.models.uss.checkpoint import below, read_checkpoint, tensors_in
from dhr.models.uss.head_file import parsed
from dhr.models.uss.stego import HeadedFeatures, StegoHead, needed_head, own_head, refuse_width
from dhr.models.weights import fit_state

_CODEBOOKS = ("cluster_tr.pth", "modular.npy")
"""Files beside ``segment_tr.pth`` that hold its codebook, as the authors call them."""


class _Decoder(nn.Module):
    """One layer of a transformer decoder (norms after each part), then a head of two branches."""

    def __init__(self, dim: int, code: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, 1, dropout=dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(dim, 1, dropout=dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.f1 = nn.Conv2d(dim, code, 1)
        self.f2 = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.ReLU(), nn.Conv2d(dim, code, 1))
        self.dropout, self.channels = nn.Dropout(dropout), nn.Dropout2d(dropout)

    def forward(self, concepts: Tensor, features: Tensor, places: Tensor, grid: tuple[int, int]) -> Tensor:
        """Codes (b, code, u, v) of concepts and features (b, u v, d), at places (u v, d)."""
        asked = concepts + places
        attended = self.self_attn(asked, asked, concepts, need_weights=False)[0]
        state = self.norm1(concepts + self.dropout(attended))
        attended = self.multihead_attn(state + places, features, features, need_weights=False)[0]
        state = self.norm2(state + self.dropout(attended))
        state = self.norm3(state + self.dropout(self.linear2(self.dropout(relu(self.linear1(state))))))
        maps = (features + state).transpose(1, 2).reshape(len(state), -1, *grid)
        codes: Tensor = self.f1(self.channels(maps)) + self.f2(self.channels(maps))
        return codes


class CauseHead(nn.Module):
    """Codes of features: the query of each cell is its nearest concept of ``codebook``; keys and values are features.

    ``query_pos`` are embeddings of places on a square grid, interpolated in two dimensions to any other. ``centre`` is
    subtracted from features first; it is their mean for heads that were trained here, and 0 for others.
    """

    centre: Tensor
    codebook: Tensor

    def __init__(
        self, dim: int, code: int, hidden: int = 2048, side: int = 20, concepts: int = 2048, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.shape = {"dim": dim, "code": code, "hidden": hidden, "side": side, "concepts": concepts}
        self.query_pos = nn.Parameter(torch.randn(side * side, dim))
        self.tr = _Decoder(dim, code, hidden, dropout)
        self.register_buffer("codebook", torch.zeros(concepts, dim))
        self.register_buffer("centre", torch.zeros(dim))

    def forward(self, features: Float[Tensor, "b d u v"]) -> Float[Tensor, "b c u v"]:
        """Codes."""
        grid = (features.shape[2], features.shape[3])
        cells = (features - self.centre[:, None, None]).flatten(2).transpose(1, 2)
        nearest = concepts_of(cells, self.codebook)
        codes: Tensor = self.tr(self.codebook[nearest], cells, self._places(grid), grid)
        return codes

    def _places(self, grid: tuple[int, int]) -> Tensor:
        side = math.isqrt(len(self.query_pos))
        if grid == (side, side):
            return self.query_pos
        square = self.query_pos.T.reshape(1, -1, side, side)
        return interpolate(square, grid, mode="bicubic", align_corners=False)[0].flatten(1).T


def concepts_of(cells: Float[Tensor, "*b d"], codebook: Float[Tensor, "k d"]) -> Tensor:
    """Find the concept with the highest cosine for each cell."""
    return (cells @ normalize(codebook, dim=1).T).argmax(dim=-1)


def build_cause(config: UssConfig) -> HeadedFeatures:
    """Build CAUSE, trained here or by its authors.

    Raises:
        ConfigError: no head is named, or timm lacks the model.
        WeightsError: a file is missing or damaged, or of another model.
    """
    path = Path(needed_head(config))
    source = f"--uss.head: {path}"
    content, about = read_checkpoint(path, "uss.head")
    ours = parsed(content, about, source)
    if ours is not None:
        return own_head(CauseHead, ours, config, source)
    state = below(tensors_in(content, "state_dict"), "head_ema.")
    head: nn.Module
    if "tr.f1.weight" in state:
        head = _authors_decoder(state, _codebook(path, source), source)
        dim, code = state["tr.f1.weight"].shape[1], state["tr.f1.weight"].shape[0]
    elif "f1.weight" in state:
        head = _authors_branches(state, source)
        dim, code = state["f1.weight"].shape[1], state["f1.weight"].shape[0]
    else:
        known = ", ".join(list(tensors_in(content, "state_dict"))[:3]) or "no parameters"
        raise WeightsError(
            f"{source} is not a checkpoint of uss.kind cause: expected head_ema.tr.f1.weight, it has {known}"
        )
    backbone = build_backbone(config)
    refuse_width(backbone, dim, config, source)
    return HeadedFeatures(backbone, head, code)


def _authors_decoder(state: dict[str, Tensor], codebook: Tensor, source: str) -> CauseHead:
    first, hidden = state["tr.f1.weight"], state.get("tr.linear1.weight")
    places = len(state.get("query_pos", ()))
    side = math.isqrt(places)
    if hidden is None or side == 0 or side * side != places:
        raise WeightsError(
            f"{source} is not a complete checkpoint of uss.kind cause: expected head_ema.query_pos of a square grid "
            f"and head_ema.tr.linear1.weight, it has {places} places"
        )
    if codebook.shape[1:] != first.shape[1:2]:
        raise WeightsError(
            f"{source} sits on features of {first.shape[1]} channels, the codebook beside it on {codebook.shape[-1]}"
        )
    head = CauseHead(first.shape[1], first.shape[0], len(hidden), side, len(codebook))
    fit_state(head, {**state, "codebook": codebook, "centre": head.centre}, source, "the head of cause")
    return head


def _authors_branches(state: dict[str, Tensor], source: str) -> StegoHead:
    """Build the variant without a decoder, which has the form of STEGO's head."""
    renamed = {
        key.replace("f1.", "cluster1.0.", 1) if key.startswith("f1.") else key.replace("f2.", "cluster2.", 1): value
        for key, value in state.items()
    }
    head = StegoHead(state["f1.weight"].shape[1], state["f1.weight"].shape[0])
    fit_state(head, {**renamed, "centre": head.centre}, source, "the head of cause")
    return head


def _codebook(head: Path, source: str) -> Tensor:
    """Read the codebook beside a head of the authors."""
    found = next((head.with_name(name) for name in _CODEBOOKS if head.with_name(name).is_file()), None)
    if found is None:
        raise WeightsError(f"{source} needs its codebook beside it, {' or '.join(_CODEBOOKS)} of the same authors")
    if found.suffix == ".npy":
        try:
            codebook = torch.from_numpy(np.load(found, allow_pickle=False)).float()
        except Exception as error:  # numpy raises nearly any exception for a damaged header
            raise WeightsError(
                f"{found}, the codebook of {source}, is damaged ({' '.join(str(error).split())[:120]}); fetch it again"
            ) from error
    else:
        content, _ = read_checkpoint(found, "uss.head")
        codebook = tensors_in(content).get("codebook", torch.zeros(0))
    if codebook.dim() != 2 or not codebook.numel():
        raise WeightsError(f"{found} holds no codebook (concepts, channels) but {tuple(codebook.shape)}")
    return codebook
