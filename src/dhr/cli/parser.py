"""The command line: which commands there are, and which one the arguments ask for."""

import sys
import textwrap
from typing import NoReturn

from jsonargparse import ArgumentParser, set_parsing_settings

import dhr
from dhr.cli.command import Call, Command, Formatter
from dhr.cli.commands.adjacency import ADJACENCY
from dhr.cli.commands.demo import DEMO
from dhr.cli.commands.evaluate import EVALUATE
from dhr.cli.commands.export import EXPORT
from dhr.cli.commands.features import FEATURES
from dhr.cli.commands.inspect import INSPECT
from dhr.cli.commands.models import MODELS
from dhr.cli.commands.onnx import ONNX
from dhr.cli.commands.predict import PREDICT
from dhr.cli.commands.run import RUN
from dhr.cli.commands.train import TRAIN
from dhr.cli.commands.uss import USS
from dhr.cli.yaml_text import guard_parsers

COMMANDS: tuple[Command, ...] = (
    INSPECT,
    RUN,
    TRAIN,
    PREDICT,
    ONNX,
    EVALUATE,
    EXPORT,
    ADJACENCY,
    MODELS,
    FEATURES,
    USS,
    DEMO,
)

_TEXT = """
    Photographs and the names of what is in them in, a segmentation mask for each out (DHR, ECCV 2024).

{commands}

    dhr COMMAND --help tells the rest.
"""


def parse(arguments: list[str]) -> Call:
    """The command that ``arguments`` ask for, ready to be called.

    Help and errors of usage end the process, as argparse does.

    Raises:
        ConfigError: settings that cannot work together.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    guard_parsers()
    asked = next((command for command in COMMANDS if arguments[:1] == [command.name]), None)
    ready = None if asked is None else asked.ready(arguments)
    parser = _Root(prog="dhr", description=_manual(), formatter_class=Formatter)
    parser.asked = None if ready is None else ready.parser
    parser.add_argument("--version", action="version", version=f"dhr {dhr.__version__}")
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    parser._action_groups = [group for group in parser._action_groups if group is not parser._subparsers]  # see _manual
    for command in COMMANDS:
        # The others are only listed: to make their parsers would import what they need.
        own = ready.parser if ready is not None and command is asked else ArgumentParser()
        commands.add_subcommand(command.name, own)
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(2)
    chosen = parser.parse_args(arguments if ready is None else ready.arguments)
    assert ready is not None  # else argparse has ended the process
    return ready.call(chosen[chosen.command])


class _Root(ArgumentParser):
    """Errors are told by the command that was asked for."""

    asked: ArgumentParser | None = None

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Ends the process; settings that are missing are named as they are typed."""
        if self.asked is None:
            super().error(message, ex)
        start, colon, names = message.partition("required: ")
        if colon and start.endswith("arguments are "):
            typed = {action.dest: action.option_strings[-1:] for action in self.asked._actions}
            dests = [name.partition(".")[2] or name for name in names.split(", ")]
            message = start + colon + ", ".join((typed.get(dest) or [dest])[0] for dest in dests)
        self.asked.error(message, ex)


def _manual() -> str:
    width = max(len(command.name) for command in COMMANDS)
    lines = (f"      dhr {command.name:<{width}}  {command.line}" for command in COMMANDS)
    return textwrap.dedent(_TEXT.format(commands="\n".join(lines))).strip()
