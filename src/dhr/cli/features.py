"""``dhr features``."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dhr.cli.left_out import print_problems
from dhr.cli.opening import opened, refuse_among
from dhr.cli.progress import Bars
from dhr.data.open import AUTO
from dhr.errors import ConfigError
from dhr.features import StoreConfig
from dhr.job.features import fill_store
from dhr.job.settings import RunConfig
from dhr.job.weights import require_first
from dhr.models.remote import uss_remote


def fill(
    data: Path, split: str | None, config: RunConfig, asked: StoreConfig, layout: str = AUTO, lenient: bool = False
) -> int:
    """Fill a store; 1 if photographs had to be left out, else 0.

    Raises:
        ConfigError: no store is named.
    """
    if config.features is None:
        raise ConfigError("name the store with --features DIR: a new folder, or one that is to be filled further")
    require_first([uss_remote(config.uss)], data)
    console = Console()
    with Bars(console) as bars:
        photographs = opened(data, split, layout, bars, lenient)
        refuse_among(config.features, data, photographs, "--features")
        filled, store = fill_store(photographs, config, asked, bars)
    for line in store.damaged:
        console.print(escape(f"{line}; computed again"), soft_wrap=True, highlight=False)
    print_problems(console, filled.problems)
    entries, size = store.disk.taken()
    limit = "" if store.disk.limit is None else f" of {store.disk.limit / 1e6:.1f}"
    console.print(
        f"{filled.computed} computed, {filled.there} were there: {entries} photographs' features, "
        f"{size / 1e6:.1f}{limit} MB, in {escape(str(config.features))}",
        soft_wrap=True,
        highlight=False,
    )
    if filled.removed:
        console.print(
            f"{filled.removed} that were not used for longest had to go; raise --limit, or keep less with --pca, --bits"
        )
    return 1 if filled.problems else 0
