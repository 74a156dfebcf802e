"""Training CAUSE (Kim, Lee and Ro 2023): concepts that split features into modules, then codes that tell them apart.

First the mediator: a codebook whose assignment of cells maximises the modularity of the graph of their cosines. Then
the head: codes of cells whose concepts are alike are drawn together, others pushed apart, towards a teacher that is the
head's moving average, and a bank of what it said before.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from dhr.models.uss.cause import CauseHead, concepts_of
from dhr.progress import Progress, Step
from dhr.train.fitting import fit, mix
from dhr.train.frozen import FrozenCrops, drawn
from dhr.train.head_config import CauseConfig, HeadConfig

_AT_ONCE = 2**24  # products of assignments that are held at once


def modularity(cells: Float[Tensor, "b n d"], codebook: Float[Tensor, "k d"], temperature: float) -> Float[Tensor, ""]:
    """Mean modularity of the cells' assignment to concepts, in -1..1: trace(W / e · delta), W = A - d d^T / e.

    A are the cosines of cells, negative ones and those with themselves left out, d its row sums, e its sum; delta of
    two cells is tanh(max over concepts of the product of their cosines with it / temperature): whether they share one.
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
    """For each two cells the concept for which the product of their shares is largest."""
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
    """Sum over positive pairs of -log(exp(s / t) / sum of it over positive and negative pairs), and their number.

    s are cosines of codes; ``likeness`` are those of their concepts: a pair is positive above ``config.positive``,
    negative below ``config.negative``, and left out between; so is one whose likeness is -inf.
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
    """Student, teacher and bank: all that a resumed training needs."""

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
        """Draw the teacher after the student."""
        pairs = ((self.teacher, self.head), (self.teacher_projection, self.projection))
        for slow, fast in pairs:
            for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
                old.lerp_(new, 1 - self.config.ema)

    @torch.no_grad()
    def remember(self, concepts: Int[Tensor, " n"], codes: Float[Tensor, "n p"]) -> None:
        """Put half of the codes, drawn at random, into the bank, in place of the oldest of their concepts."""
        chosen = torch.randperm(len(concepts))[: (len(concepts) + 1) // 2].to(concepts.device)
        chosen = chosen[concepts[chosen].argsort(stable=True)]
        which = concepts[chosen]
        counts = torch.bincount(which, minlength=len(self.bank))
        rank = torch.arange(len(which), device=which.device) - (counts.cumsum(0) - counts)[which]
        size = self.bank.shape[1]
        last = rank >= counts[which] - size  # of more than there is room for, these stay
        place = (self.written[which] + rank) % size
        self.bank[which[last], place[last]] = codes[chosen[last]]
        self.written = (self.written + counts) % size
        self.filled = (self.filled + counts).clamp_max(size)

    def forward(self, features: Float[Tensor, "b d u v"]) -> Tensor:
        """The loss of a batch of crops."""
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
        # Slots of the bank that hold nothing yet count as pairs that are left out: no shape depends on how many do.
        slots = torch.arange(config.bank, device=features.device) < self.filled[:, None]
        before = (units[concepts] @ units.T)[:, :, None].masked_fill(~slots, -torch.inf).flatten(1)
        more, further = contrast(codes, self.bank.flatten(0, 1).clone(), before, config)
        self.remember(concepts, said)
        value: Tensor = (loss / pairs.clamp_min(1) + more / further.clamp_min(1)) / 2
        return value


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
    """Train codebook and head; where ``checkpoint`` exists, go on from its last epoch, to the same weights.

    The codebook's own state lies beside it, in ``codebook.pt``.

    Raises:
        ConfigError: the loss is no number any more.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
    """
    torch.manual_seed(mix(shared.seed))
    dim, centre = means.shape[1], means.mean(dim=0).to(device)
    mediator = _Codebook(config.concepts, dim).to(device)
    rounds = config.codebook_epochs + shared.epochs

    def unlike(features: Tensor) -> Tensor:
        cells = drawn(features.to(device), config.cells) - centre
        return -modularity(cells, mediator.codebook, config.sharpness)

    fit(
        mediator,
        [(mediator.parameters(), config.codebook_lr)],
        crops,
        unlike,
        mediator.train,
        epochs=config.codebook_epochs,
        batch=shared.batch,
        workers=0,
        weight_decay=0.0,
        seed=mix(shared.seed, 1),
        checkpoint=checkpoint.with_name("codebook.pt"),
        progress=lambda step: progress(Step("head", step.done, rounds * len(crops))),
        stage="head",
        advice="lower --cause.codebook_lr",
    )

    def head() -> CauseHead:
        side = crops.features(0).shape[1]
        made = CauseHead(dim, shared.code, config.hidden, side, config.concepts, shared.dropout)
        made.centre.copy_(centre)
        made.codebook.copy_(mediator.codebook.detach())
        return made

    torch.manual_seed(mix(shared.seed, 2))
    both = _Contrast(head(), head(), shared.code, config).to(device)

    def loss(features: Tensor) -> Tensor:
        both.follow()
        value: Tensor = both(features.to(device))
        return value

    fit(
        both,
        [([value for value in both.parameters() if value.requires_grad], shared.lr)],
        crops,
        loss,
        both.train,
        epochs=shared.epochs,
        batch=shared.batch,
        workers=0,
        weight_decay=shared.weight_decay,
        seed=shared.seed,
        checkpoint=checkpoint,
        progress=lambda step: progress(
            Step("head", config.codebook_epochs * len(crops) + step.done, rounds * len(crops))
        ),
        stage="head",
        advice="lower --head.lr",
    )
    both.follow()
    return both.teacher.eval()
