"""What there is to know of a model before one uses it: ``dhr models`` and docs/models.md are made of these."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelCard:
    """One model as it was published."""

    name: str
    """What it is called in the list of models."""
    settings: tuple[tuple[str, str], ...]
    """Settings of a run that choose it, such as `("uss.kind", "timm")`."""
    source: str
    """Authors, year, and where its code is published."""
    licence: str
    """Of the weights."""
    weights: str
    """Where they come from: a hub's name of them, an address, or `dhr run` where tags train them."""
    hub: str | None
    """Repository of the Hugging Face hub that `hub` means; None where weights are a local file, or there are none."""
    dim: int
    """Channels of its features."""
    stride: int
    """Pixels of the image that a cell of its maps has."""
    mean: tuple[float, float, float]
    """RGB mean (0..1) that the weights expect."""
    std: tuple[float, float, float]
    """RGB standard deviation that the weights expect."""
    note: str = ""
    """What else one should know, in a sentence."""
