"""The command line of ``dhr models``."""

from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    List the models that masks can be made with: USS features and WSS maps, how each is chosen, the
    licence of its weights, and whether these are on this machine already. No network is asked.

    --download fetches the weights that settings need, by default those of `dhr run`, else of a YAML
    file (--config FILE) or of settings as `dhr run` takes them; then a run needs no network.

    docs/models.md has more on each, and which others work.
"""

_END = """
examples:
  dhr models
  dhr models --json models.json
  dhr models --download --config my.yaml
"""


def _ready(arguments: list[str]) -> Ready:
    if "--download" in arguments:
        return _download(arguments)
    parser = new_parser(_TEXT, "dhr models [--json FILE] | --download [--config FILE] [settings]", _END)
    parser.add_argument("--download", action="store_true", help="fetch the weights that settings need")
    parser.add_argument("--json", type=Path | None, help="also write the list, with all that is known, to this file")

    def call(part: Namespace) -> Call:
        from dhr.cli.models import models

        return partial(models, part.json)

    return Ready(parser, call, arguments)


def _download(arguments: list[str]) -> Ready:
    from dhr.cli.early import early

    given = early(arguments)  # first: what follows takes seconds and hundreds of megabytes
    from dhr.cli.settings import add_settings, run_config

    parser = new_parser(_TEXT, "dhr models --download [--config FILE] [settings]", _END)
    parser.add_argument("--download", action="store_true", help="fetch the weights that settings need")
    add_settings(parser, given.preset, data=False, out=False)

    def call(part: Namespace) -> Call:
        from dhr.cli.models import download

        return partial(download, run_config(parser.instantiate(part), given))

    return Ready(parser, call, given.arguments)


MODELS = Command("models", "list the models that masks can be made with", _ready)
