"""How well features tell classes apart by themselves: clusters matched with classes, and a linear classifier.

Both are scored on photographs that neither was fitted to, as STEGO (Hamilton et al. 2022) and its successors report:
the cluster probe sees no label before its clusters are matched with the classes, one to one; the linear probe learns
from truth masks. Features themselves are fitted to nothing here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize

from dhr.errors import ConfigError, ShapeError

Map = Float[Tensor, "d u v"]
"""Features of a photograph, on any grid over the whole of it."""
Truth = UInt8[np.ndarray, "h w"]
"""Class ids of its pixels, 255 for void."""


@dataclass(frozen=True)
class ProbeScore:
    """What a probe found, on labelled pixels."""

    miou: float
    """Mean IoU, 0..1, of the classes that truth or probe name; NaN without any."""
    accuracy: float
    """Share, 0..1, of labelled pixels that are of the class that the probe says."""
    per_class: tuple[float, ...]
    """IoU of each class, NaN where neither names it."""


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of standardised features."""

    weight: Float[Tensor, "c d"]
    bias: Float[Tensor, " c"]

    def __call__(self, features: Map) -> Float[Tensor, "c u v"]:
        """Scores of the classes."""
        return torch.einsum("cd,duv->cuv", self.weight, features) + self.bias[:, None, None]


def check_scipy() -> None:
    """Raise :class:`~dhr.errors.ConfigError` if scipy is not there, before the long work."""
    if find_spec("scipy") is None:
        raise ConfigError("the cluster probe matches with scipy, which is not installed; pip install scipy")


def drawn_cells(maps: Iterable[Map], most: int, seed: int = 0) -> Float[Tensor, "n d"]:
    """Cells of the maps, at most ``most`` of each, drawn at random."""
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for features in maps:
        cells = features.flatten(1).T.float()  # (u v, d)
        rows.append(cells[torch.randperm(len(cells), generator=draw)[:most]])
    return torch.cat(rows)


def cluster_centres(
    cells: Float[Tensor, "n d"], clusters: int, *, seed: int = 0, restarts: int = 4, rounds: int = 60
) -> Float[Tensor, "k d"]:
    """Centres, of unit length, of spherical k-means (cosines; k-means++ starts; the best of ``restarts``).

    Cosines, as STEGO's cluster probe has them. A cluster that loses all its cells gets the one that fits worst.

    >>> cells = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-0.1, 2.0], [0.1, 3.0]])
    >>> cluster_centres(cells, 2).argsort(dim=0)[:, 0].tolist() in ([0, 1], [1, 0])
    True

    Raises:
        ShapeError: there are fewer cells than clusters.
    """
    if len(cells) < clusters:
        raise ShapeError(f"{clusters} clusters need as many cells of features, got {len(cells)}; give more photographs")
    units = normalize(cells, dim=1)
    draw = torch.Generator().manual_seed(seed)
    best, least = units[:clusters], float("inf")
    for _ in range(restarts):
        centres = _starts(units, clusters, draw)
        before = float("inf")
        for _ in range(rounds):
            cosine, nearest = (units @ centres.T).max(dim=1)
            distance = float((1 - cosine).mean())
            sums = torch.zeros_like(centres).index_add_(0, nearest, units)
            empty = torch.bincount(nearest, minlength=clusters) == 0
            sums[empty] = units[cosine.argsort()[: int(empty.sum())]]
            centres = normalize(sums, dim=1)
            if before - distance < 1e-6:
                break
            before = distance
        distance = float((1 - (units @ centres.T).amax(dim=1)).mean())
        if distance < least:
            best, least = centres, distance
    return best


def _starts(units: Float[Tensor, "n d"], clusters: int, draw: torch.Generator) -> Float[Tensor, "k d"]:
    """k-means++: each further start is drawn in proportion to its distance from those before."""
    chosen = [int(torch.randint(len(units), (1,), generator=draw))]
    distance = 1 - units @ units[chosen[0]]
    for _ in range(clusters - 1):
        weights = distance.clamp_min(1e-12)
        chosen.append(int(torch.multinomial(weights, 1, generator=draw)))
        distance = torch.minimum(distance, 1 - units @ units[chosen[-1]])
    return units[chosen]


def count_labels(scores: Float[Tensor, "k u v"], truth: Truth, classes: int) -> Int64[np.ndarray, "k c"]:
    """Labelled pixels by the label of highest score, of scores upsampled to the truth's size, and by true class."""
    size = (truth.shape[0], truth.shape[1])
    labels = interpolate(scores[None].float(), size, mode="bilinear", align_corners=False)[0].argmax(dim=0).numpy()
    known = truth < classes
    pairs = labels[known].astype(np.int64) * classes + truth[known]
    return np.bincount(pairs, minlength=len(scores) * classes).reshape(len(scores), classes)


def matched(counts: Int64[np.ndarray, "k c"]) -> Int64[np.ndarray, "c c"]:
    """Rows of ``counts`` put in the order of the classes that they are matched with, one to one, for most hits.

    Clusters that are left over are added to none; a class that is left over gets an empty row.

    >>> matched(np.array([[0, 5], [7, 1]])).tolist()
    [[7, 1], [0, 5]]
    """
    check_scipy()
    from scipy.optimize import linear_sum_assignment

    found = np.zeros((counts.shape[1], counts.shape[1]), np.int64)
    clusters, classes = linear_sum_assignment(counts, maximize=True)
    found[classes] = counts[clusters]
    return found


def score_counts(counts: Int64[np.ndarray, "c c"], truth: Int64[np.ndarray, " c"]) -> ProbeScore:
    """Scores from pixels by predicted (row) and true class; ``truth`` counts all labelled pixels of each class."""
    hits = np.diag(counts).astype(np.float64)
    union = counts.sum(axis=1) + truth - hits
    ious: Float64[np.ndarray, " c"] = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    known = ious[~np.isnan(ious)]
    miou = float(known.mean()) if len(known) else float("nan")
    return ProbeScore(miou, float(hits.sum() / max(int(truth.sum()), 1)), tuple(ious.tolist()))


def cluster_probe(
    centres: Float[Tensor, "k d"], maps: Iterable[Map], truths: Iterable[Truth], classes: int
) -> ProbeScore:
    """Label each pixel with the cluster of highest cosine, match clusters with classes, and score.

    The match is made on the photographs that are scored, as STEGO does: it measures whether classes are clusters.
    """
    counts = np.zeros((len(centres), classes), np.int64)
    for features, truth in zip(maps, truths, strict=True):
        scores = torch.einsum("kd,duv->kuv", centres, normalize(features.float(), dim=0))
        counts += count_labels(scores, truth, classes)
    return score_counts(matched(counts), counts.sum(axis=0))


def fit_linear(
    maps: Sequence[Map], truths: Sequence[Truth], classes: int, *, most: int = 200, epochs: int = 30, seed: int = 0
) -> LinearProbe:
    """Fit a linear classifier to cells (``most`` of each photograph) whose pixels are mostly of one class.

    Multinomial logistic regression by AdamW on features standardised by channel; the scale is then made part of the
    weights.
    """
    draw = torch.Generator().manual_seed(seed)
    rows, labels = [], []
    for features, truth in zip(maps, truths, strict=True):
        cells, label = features.flatten(1).T.float(), _cell_labels(truth, features.shape[1:], classes)
        known = (label >= 0).nonzero()[:, 0]
        some = known[torch.randperm(len(known), generator=draw)[:most]]
        rows.append(cells[some])
        labels.append(label[some])
    x, y = torch.cat(rows), torch.cat(labels)
    if not len(y):
        raise ShapeError("no cell of the features lies on labelled pixels; give photographs with truth")
    mean, scale = x.mean(dim=0), x.std(dim=0, correction=0).clamp_min(1e-6)
    x = (x - mean) / scale
    weight, bias = nn.Parameter(torch.zeros(classes, x.shape[1])), nn.Parameter(torch.zeros(classes))
    optimiser = torch.optim.AdamW([weight, bias], lr=5e-3, weight_decay=1e-2)
    steps = epochs * -(-len(x) // 1024)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        for some in torch.split(torch.randperm(len(x), generator=draw), 1024):
            loss = cross_entropy(x[some] @ weight.T + bias, y[some])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    scaled = weight.detach() / scale
    return LinearProbe(scaled, bias.detach() - scaled @ mean)


def linear_probe(probe: LinearProbe, maps: Iterable[Map], truths: Iterable[Truth], classes: int) -> ProbeScore:
    """Score a linear classifier on photographs, at their own size."""
    counts = np.zeros((classes, classes), np.int64)
    for features, truth in zip(maps, truths, strict=True):
        counts += count_labels(probe(features.float()), truth, classes)
    return score_counts(counts, counts.sum(axis=0))


def _cell_labels(truth: Truth, grid: Sequence[int], classes: int) -> Tensor:
    """(u v,): the class that covers over half of each cell; -1 where none does."""
    one_hot = torch.zeros(classes + 1, truth.size)
    one_hot[torch.from_numpy(truth.reshape(-1).astype(np.int64)).clamp_max(classes), torch.arange(truth.size)] = 1
    whole = one_hot.view(1, classes + 1, *truth.shape)
    shares = interpolate(whole, (int(grid[0]), int(grid[1])), mode="area")[0, :classes].flatten(1)
    share, label = shares.max(dim=0)
    return torch.where(share > 0.5, label, -1)
