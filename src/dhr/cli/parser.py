"""The command line: which commands there are, and which one the arguments ask for."""

import textwrap

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
    parser = ArgumentParser(prog="dhr", description=_manual(), formatter_class=Formatter)
    parser.add_argument("--version", action="version", version=f"dhr {dhr.__version__}")
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        # The others are only listed: to make their parsers would import what they need.
        own = ready.parser if ready is not None and command is asked else ArgumentParser()
        commands.add_subcommand(command.name, own, help=command.short)
    chosen = parser.parse_args(arguments if ready is None else ready.arguments)
    assert ready is not None  # else argparse has ended the process
    return ready.call(chosen[chosen.command])


def _manual() -> str:
    width = max(len(command.name) for command in COMMANDS)
    lines = (f"      dhr {command.name:<{width}}  {command.line}" for command in COMMANDS)
    return textwrap.dedent(_TEXT.format(commands="\n".join(lines))).strip()
