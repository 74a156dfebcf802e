"""The command line of ``dhr models``."""

from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    List the models that masks can be made with: USS features and WSS maps, how each is chosen, the
    licence of its weights, and whether these are on this machine already. No network is asked.

    docs/models.md tells more of each, and which others work.
"""

_END = """
examples:
  dhr models
  dhr models --json models.json
"""


def _ready(arguments: list[str]) -> Ready:
    parser = new_parser(_TEXT, "dhr models [--json FILE]", _END)
    parser.add_argument("--json", type=Path | None, help="also write the list, with all that is known, to this file")

    def call(part: Namespace) -> Call:
        from dhr.cli.models import models

        return partial(models, part.json)

    return Ready(parser, call, arguments)


MODELS = Command("models", "list the models that masks can be made with", "list models and their weights", _ready)
