"""``dhr models``."""

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dhr.files import write_json
from dhr.job.settings import RunConfig
from dhr.job.weights import fetch_all, run_weights, train_weights
from dhr.models.cards import CARDS, presence

_ROLES = {"uss": "USS: what looks alike, without labels", "wss": "WSS: where the tags are"}


def download(config: RunConfig) -> int:
    """Fetch the weights that settings need, for a machine that will have no network; 0."""
    console = Console()
    remotes = train_weights(config) if config.student.kind == "mask2former" else run_weights(config)
    for remote, files in fetch_all(remotes):
        for path in files:
            console.print(f"{escape(remote.model)}: {escape(str(path))}", highlight=False, soft_wrap=True)
    console.print(
        "All weights that these settings need are here." if remotes else "These settings need no weights from a hub.",
        soft_wrap=True,
    )
    return 0


def models(json: Path | None) -> int:
    """List the models and where their weights are; 0."""
    console = Console()
    wide = max(len(card.name) for card in CARDS)
    for role, title in _ROLES.items():
        console.print(f"[bold]{title}[/bold]\n{'model':<{wide}} channels stride  weights; licence", highlight=False)
        for card in CARDS:
            if card.role == role:
                channels, stride = (str(number) if number else "-" for number in (card.dim, card.stride))
                chosen = " ".join(f"--{role}.{name} {value}" for name, value in card.settings.items())
                line = f"{card.name:<{wide}} {channels:>8} {stride:>6}  {presence(card)}; {card.licence}"
                note = f"\n    {escape(card.note)}" if card.note else ""
                console.print(f"{line}\n    [dim]{chosen}{note}[/dim]", highlight=False, soft_wrap=True)
        console.print()
    console.print(
        "Other networks of timm work as well (docs/models.md). No network was asked: "
        "weights that are here are those in the hub's cache.",
        highlight=False,
        soft_wrap=True,
    )
    if json is not None:
        write_json(json, {"models": [{**asdict(card), "weights": presence(card)} for card in CARDS]})
        console.print(f"List: {json}", highlight=False, soft_wrap=True)
    return 0
