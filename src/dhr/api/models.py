"""The models that masks can be made with: ``dhr.models``."""

from dataclasses import asdict
from pathlib import Path

from dhr.api.result import TableResult
from dhr.api.settings import Config, run_settings
from dhr.files import write_json
from dhr.models.cards import CARDS, presence


def models(*, download: bool = False, json: Path | str | None = None, config: Config = "default") -> TableResult:
    """List the models that masks can be made with, or download the weights that settings need.

    The list has USS features and WSS maps, the settings that select each, the number of its parameters, the licence of
    its weights, and whether these are on this machine or given out on request. Nothing is asked over the network.
    docs/models.md has more on each, and which others work.

    Args:
        download: download the weights that the settings need; a run then works offline.
        json: a file that gets the list, with all facts.
        config: settings, for `download`: a recipe or preset, a YAML file, or single ones.

    Returns:
        One row per model, or per file that was downloaded.

    Raises:
        WeightsError: weights cannot be had.
    """
    settings, _ = run_settings(config)
    if download:
        from dhr.job.weights import fetch_all, train_weights

        rows = [
            {"model": remote.model, "file": str(path)}
            for remote, files in fetch_all(train_weights(settings))
            for path in files
        ]
        needed = "All weights that these settings need are here."
        return TableResult(rows, needed if rows else "These settings need no weights from a hub.")
    rows = [{**asdict(card), "weights": presence(card)} for card in CARDS]
    if json is not None:
        write_json(Path(json), {"models": rows})
    return TableResult(rows, f"{len(rows)} models", files=() if json is None else (Path(json),))
