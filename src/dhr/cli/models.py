"""``dhr models``."""

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dhr.files import write_json
from dhr.models.cards import CARDS, presence

_ROLES = {"uss": "USS: what looks alike, without labels", "wss": "WSS: where the tags are"}


def models(json: Path | None) -> int:
    """List the models and where their weights are; 0."""
    console = Console()
    for role, title in _ROLES.items():
        table = Table(title=title, title_justify="left")
        for column in ("model", "chosen by", "weights", "licence", "channels", "stride"):
            table.add_column(column, justify="right" if column in ("channels", "stride") else "left", overflow="fold")
        for card in CARDS:
            if card.role == role:
                chosen = " ".join(f"--{role}.{name} {value}" for name, value in card.settings.items())
                numbers = (str(number) if number else "-" for number in (card.dim, card.stride))
                table.add_row(card.name, chosen, presence(card), card.licence, *numbers)
        console.print(table)
    console.print(
        "Other networks of timm work as well (docs/models.md). No network was asked: "
        "weights that are here are those in the hub's cache.",
        highlight=False,
    )
    if json is not None:
        write_json(json, {"models": [{**asdict(card), "weights": presence(card)} for card in CARDS]})
        console.print(f"List: {json}", highlight=False, soft_wrap=True)
    return 0
