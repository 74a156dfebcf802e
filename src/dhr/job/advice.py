"""Proposals for a run that would take long on a CPU, and for weights that cannot be had."""

from collections.abc import Iterator

from dhr.job.estimate import Estimate
from dhr.job.settings import RunConfig
from dhr.recipes import recipe

LONG = 3600.0
"""Seconds of a run on a CPU above which a smaller recipe is proposed."""
SMALL = "small"
"""The recipe for CPUs."""


def advice(config: RunConfig, device: str, cost: Estimate | None, missing: bool = False) -> Iterator[str]:
    """Yield proposals, one sentence each.

    Args:
        device: type of the device.
        missing: whether weights cannot be had.
    """
    if missing:
        wss, uss = (recipe(SMALL)[part] for part in ("wss", "uss"))
        yield (
            f"Copy files of weights to this machine, and name them: --wss.weights FILE, --uss.weights FILE. --recipe "
            f"{SMALL} needs the smallest ones, {wss['backbone']} and {uss['model']}."
        )
    if cost is not None and device == "cpu" and sum(one.seconds for one in cost.stages) > LONG:
        if uses(config, SMALL):
            yield f"That is long for a CPU. A lower --image.long-side than {config.image.long_side} takes less."
        else:
            yield f"That is long for a CPU. --recipe {SMALL} takes less: see `dhr plan --recipe {SMALL}`."


def uses(config: RunConfig, name: str) -> bool:
    """Return whether settings have the networks of a recipe, and its image size or a smaller one."""
    given = recipe(name)
    networks = (config.wss.backbone, config.uss.model) == (given["wss"]["backbone"], given["uss"]["model"])
    return networks and config.image.long_side <= given["image"]["long_side"]
