"""Training CAUSE (Kim, Lee and Ro 2023): a codebook of concepts for features, then codes that separate the concepts.

First the codebook (the mediator): its assignment of cells to concepts maximises the modularity of the graph of their
cosines. Then the head: a contrastive loss pulls codes of cells with similar concepts together and pushes others apart.
The codes are compared with those of a teacher, the moving average of the head, and with a bank of its earlier codes.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from dhr.models.uss.cause import CauseHead, concepts_of
from dhr.progress import Progress
from dhr.train.fitting import Schedule, fit, mix
from dhr.train.frozen import SMALLER, FrozenCrops, drawn
from dhr.train.head_config import CauseConfig, HeadConfig

_AT_ONCE = 2**24  # products of assignments that are in memory at the same time


def modularity(cells: Float[Tensor, "b n d"], codebook: Float[Tensor, "k d"], temperature: float) -> Float[Tensor, ""]:
    """Compute the mean modularity of the cells' concepts, in -1..1: trace(W / e · delta), W = A - d d^T / e.

    A holds the cosines of different cells, negative ones replaced by 0; d are its row sums, e its sum. delta of two
    cells is tanh(max over concepts of the product of their cosines with the concept / temperature).
    """
    units = normalize(cells, dim=2)
    between = (units @ units.transpose(1, 2)).clamp_min(0)
    between = between - torch.diag_embed(between.diagonal(dim1=1, dim2=2))
    degree = between.sum(dim=2, keepdim=True)
    edges = degree.sum(dim=1, keepdim=True).clamp_min(1e-12)
    beyond = (between - degree @ degree.transpose(1, 2) / edges) / edges
    shares = (units @ normalize(codebook, dim=1).T).clamp_min(0)  # (b, n, k)
    best = _shared(shares.detach())
    product = shares.gather(2, best) * shares.transpose(1, 2).gather(1, best)
    return (beyond * (product / temperature).tanh()).sum(dim=(1, 2)).mean()


def _shared(shares: Float[Tensor, "b n k"]) -> Int[Tensor, "b n n"]:
    """Find the concept with the largest product of shares, for each pair of cells."""
    count = shares.shape[1]
    step = max(1, _AT_ONCE // max(1, len(shares) * count * count))
    most = shares.new_full((len(shares), count, count), -1.0)
    best = torch.zeros_like(most, dtype=torch.long)
    for first in range(0, shares.shape[2], step):
        some = shares[:, :, first : first + step]
        found, where = (some[:, :, None] * some[:, None]).max(dim=3)
        better = found > most
        best = torch.where(better, where + first, best)
        most = torch.where(better, found, most)
    return best


def contrast(
    codes: Float[Tensor, "n p"],
    others: Float[Tensor, "m p"],
    likeness: Float[Tensor, "n m"],
    config: CauseConfig,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Return the sum over positive pairs of -log(exp(s / t) / sum of exp(s / t) over all pairs), and their number.

    s are cosines of codes, ``likeness`` those of their concepts. A pair is positive if its likeness is above
    ``config.positive``, negative if it is below ``config.negative``, else ignored; -inf is ignored too.
    """
    similar = normalize(codes, dim=1) @ normalize(others, dim=1).T / config.temperature
    positive = likeness > config.positive
    counted = positive | ((likeness < config.negative) & (likeness > -torch.inf))
    total = similar.masked_fill(~counted, -torch.inf).logsumexp(dim=1, keepdim=True)
    loss = torch.where(positive, total - similar, 0.0)
    return loss.sum(), positive.sum()


class _Codebook(nn.Module):
    def __init__(self, concepts: int, dim: int) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.empty(concepts, dim).uniform_(-1 / concepts, 1 / concepts))


class _Contrast(nn.Module):
    """Student, teacher and bank: the whole state of the training."""

    bank: Tensor
    filled: Tensor
    written: Tensor

    def __init__(self, head: CauseHead, teacher: CauseHead, code: int, config: CauseConfig) -> None:
        super().__init__()
        self.head, self.teacher, self.config = head, teacher, config
        self.projection, self.teacher_projection = (
            nn.Linear(code, config.projection),
            nn.Linear(code, config.projection),
        )
        self.teacher.load_state_dict(head.state_dict())
        self.teacher_projection.load_state_dict(self.projection.state_dict())
        for module in (self.teacher, self.teacher_projection):
            module.requires_grad_(False)
        concepts = len(head.codebook)
        self.register_buffer("bank", torch.zeros(concepts, config.bank, config.projection))
        self.register_buffer("filled", torch.zeros(concepts, dtype=torch.long))
        self.register_buffer("written", torch.zeros(concepts, dtype=torch.long))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the teacher towards the student."""
        pairs = ((self.teacher, self.head), (self.teacher_projection, self.projection))
        for slow, fast in pairs:
            for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
                old.lerp_(new, 1 - self.config.ema)

    @torch.no_grad()
    def remember(self, concepts: Int[Tensor, " n"], codes: Float[Tensor, "n p"]) -> None:
        """Write a random half of the codes into the bank, over the oldest ones of their concepts."""
        chosen = torch.randperm(len(concepts))[: (len(concepts) + 1) // 2].to(concepts.device)
        chosen = chosen[concepts[chosen].argsort(stable=True)]
        which = concepts[chosen]
        counts = torch.bincount(which, minlength=len(self.bank))
        rank = torch.arange(len(which), device=which.device) - (counts.cumsum(0) - counts)[which]
        size = self.bank.shape[1]
        last = rank >= counts[which] - size  # a concept with more codes than slots keeps these
        place = (self.written[which] + rank) % size
        self.bank[which[last], place[last]] = codes[chosen[last]]
        self.written = (self.written + counts) % size
        self.filled = (self.filled + counts).clamp_max(size)

    def forward(self, features: Float[Tensor, "b d u v"]) -> Tensor:
        """Compute the loss of a batch of crops."""
        config = self.config
        places = torch.randint(features.shape[2] * features.shape[3], (len(features), config.cells)).to(features.device)

        def taken(maps: Tensor) -> Tensor:
            flat = maps.flatten(2).transpose(1, 2)
            return flat.gather(1, places[..., None].expand(-1, -1, flat.shape[2])).flatten(0, 1)

        with torch.no_grad():
            said = self.teacher_projection(taken(self.teacher(features)))
            concepts = concepts_of(taken(features - self.head.centre[:, None, None]), self.head.codebook)
            units = normalize(self.head.codebook, dim=1)
            likeness = (units[concepts] @ units.T)[:, concepts]
            likeness.fill_diagonal_(-torch.inf)
        codes = self.projection(taken(self.head(features)))
        loss, pairs = contrast(codes, said, likeness, config)
        # Pairs with empty slots of the bank are ignored, so no shape depends on their number.
        slots = torch.arange(config.bank, device=features.device) < self.filled[:, None]
        before = (units[concepts] @ units.T)[:, :, None].masked_fill(~slots, -torch.inf).flatten(1)
        more, further = contrast(codes, self.bank.flatten(0, 1).clone(), before, config)
        self.remember(concepts, said)
        value: Tensor = (loss / pairs.clamp_min(1) + more / further.clamp_min(1)) / 2
        return value


def _train_codebook(
    crops: FrozenCrops,
    centre: Float[Tensor, " d"],
    shared: HeadConfig,
    config: CauseConfig,
    checkpoint: Path,
    progress: Progress,
) -> Float[Tensor, "k d"]:
    torch.manual_seed(mix(shared.seed))
    mediator = _Codebook(config.concepts, len(centre)).to(centre.device)

    def negative_modularity(features: Tensor) -> Tensor:
        cells = drawn(features, config.cells) - centre
        return -modularity(cells, mediator.codebook, config.sharpness)

    schedule = Schedule(
        "head",
        config.codebook_epochs,
        shared.batch,
        mix(shared.seed, 1),
        "lower --cause.codebook-lr",
        SMALLER,
        after=shared.epochs,
    )
    groups = [(mediator.parameters(), config.codebook_lr)]
    fit(mediator.train(), groups, crops, negative_modularity, schedule, checkpoint, progress)
    return mediator.codebook.detach()


def train_cause(
    crops: FrozenCrops,
    means: Float[Tensor, "n d"],
    shared: HeadConfig,
    config: CauseConfig,
    *,
    device: torch.device,
    checkpoint: Path,
    progress: Progress,
) -> CauseHead:
    """Train codebook and head; if ``checkpoint`` exists, training continues from it and ends with the same weights.

    The state of the codebook's own training is kept beside it.

    Raises:
        ConfigError: the loss became NaN or infinite, or memory ran out.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
    """
    centre = means.mean(dim=0).to(device)
    codebook = _train_codebook(crops, centre, shared, config, checkpoint.with_stem("codebook"), progress)

    def head() -> CauseHead:
        side = crops.features(0).shape[1]
        made = CauseHead(means.shape[1], shared.code, config.hidden, side, config.concepts, shared.dropout)
        made.centre.copy_(centre)
        made.codebook.copy_(codebook)
        return made

    torch.manual_seed(mix(shared.seed, 2))
    both = _Contrast(head(), head(), shared.code, config).to(device)

    def loss(features: Tensor) -> Tensor:
        both.follow()
        value: Tensor = both(features)
        return value

    fit(
        both.train(),
        [([value for value in both.parameters() if value.requires_grad], shared.lr)],
        crops,
        loss,
        Schedule(
            "head",
            shared.epochs,
            shared.batch,
            shared.seed,
            "lower --head.lr",
            SMALLER,
            shared.weight_decay,
            before=config.codebook_epochs,
        ),
        checkpoint,
        progress,
    )
    both.follow()
    return both.teacher.eval()
