"""The command ``dhr``: runs a public function; errors become messages and exit codes."""

import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dhr.cli.signals import Ended, ended_by_signals
from dhr.cli.streams import standard_streams

if TYPE_CHECKING:
    from dhr.cli.options import Option


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dhr`` with ``arguments`` (by default the process's own) and return its exit code.

    0: all done. 1: done, but some photographs were left out (the summary and run.json name them with the reasons).
    2: nothing could be done, or the output could not be printed; one line gives the reason. 130: interrupted, 143:
    ended by SIGTERM, 129: by SIGHUP; the same command goes on. If the reader of the output ends (`dhr run | head -1`),
    the work goes on without printing.
    """
    with standard_streams() as printed:
        code = _code(list(sys.argv[1:] if arguments is None else arguments))
        printed.flush()
        if printed.failure is not None and code in (0, 1):
            reason = printed.failure.strerror or printed.failure
            _say(
                f"all work is done, but its output could not be printed: {reason}; send it to another file or terminal"
            )
            code = 2
    return code


def _code(arguments: list[str]) -> int:
    from dhr.errors import DhrError

    try:
        with ended_by_signals():
            return call(arguments)()
    except DhrError as error:
        _say(_as_typed(str(error), arguments))
        return 2
    except KeyboardInterrupt:
        _say(f"interrupted; {_after(arguments)}")
        return 130
    except Ended as end:
        _say(f"ended by {end.name}; {_after(arguments)}")
        return end.code


def _after(arguments: list[str]) -> str:
    """Return what is true after a command was interrupted."""
    from dhr.cli.table import COMMANDS

    command = COMMANDS.get(arguments[0]) if arguments else None
    return "nothing was done" if command is None else command.ended


def call(arguments: list[str]) -> Callable[[], int]:
    """Read the arguments, and return the call that they stand for; it returns the exit code.

    Raises:
        ConfigError: they cannot be used.
    """
    import dhr
    from dhr.cli.table import COMMANDS

    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        from dhr.cli.help import manual

        return lambda: _print(manual())
    if name == "--version":
        return lambda: _print(f"dhr {dhr.__version__}")
    if name not in COMMANDS:
        raise _no_command(name)
    command = COMMANDS[name]
    if {"--help", "-h", "--help-all"} & {*rest}:
        from dhr.cli.help import help_of

        return lambda: _print(help_of(command, "--help-all" in rest))
    from dhr.cli.options import options_of
    from dhr.cli.parse import arguments_for, parsed

    quiet, verbose = bool({"-q", "--quiet"} & {*rest}), bool({"-v", "--verbose"} & {*rest})
    rest = [one for one in rest if one not in ("-q", "--quiet", "-v", "--verbose")]
    values = parsed(name, options_of(command.function, command.positional), rest)
    made = arguments_for(command.function, values)
    return partial(_run, name, made, values, quiet, verbose)


def _run(name: str, made: dict[str, Any], values: "dict[Option, Any]", quiet: bool, verbose: bool) -> int:
    """Call the function, print its result, and return the exit code."""
    import inspect

    from dhr.cli.progress import Bars
    from dhr.cli.table import COMMANDS
    from dhr.cli.terminal import Terminal
    from dhr.progress import silent

    command = COMMANDS[name]
    console = Terminal(file=io.StringIO(), width=10_000) if quiet else Terminal()
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        for option, value in values.items():
            console.print(f"{option.name}: {value}", markup=False, highlight=False, soft_wrap=True)
    if "progress" in inspect.signature(command.function).parameters:
        with Bars(console) as bars:
            result = command.function(**made, progress=silent if quiet else bars)
    else:
        result = command.function(**made)
    command.show(console, result)
    if quiet and isinstance(console.file, io.StringIO):
        _print(next((line for line in reversed(console.file.getvalue().splitlines()) if line.strip()), ""))
    return 0 if result.complete else 1


def _no_command(name: str) -> Exception:
    from dhr.api.renamed import COMMANDS as RENAMED
    from dhr.api.settings import nearest
    from dhr.cli.table import COMMANDS
    from dhr.errors import ConfigError

    if name.startswith("-"):
        return ConfigError(f"{name} follows no command; write options after it: `dhr run {name}`")
    if name in RENAMED:
        return ConfigError(f"dhr {name} is now called dhr {RENAMED[name]}; `dhr {RENAMED[name]} --help` explains it")
    near = nearest(name, COMMANDS) or f"; the commands are {', '.join(COMMANDS)}"
    return ConfigError(f"no command {name!r}{near}")


def _as_typed(message: str, arguments: Sequence[str]) -> str:
    """Name options in a message as they were typed: ``--image.long-side`` for ``image.long_side``."""
    for argument in () if message.startswith("--config") else arguments:
        typed = argument.partition("=")[0]
        if typed.startswith("--"):
            name = re.escape(typed.removeprefix("--no-").removeprefix("--").replace("-", "_"))
            before = r"(?<![\w.-])" if "_" in name else "^"
            message = re.sub(rf"{before}{name}(?![\w.])", typed.replace("\\", r"\\"), message)
    return message


def _print(text: str) -> int:
    print(text)  # noqa: T201
    return 0


def _say(text: str) -> None:
    print(f"dhr: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201


_SPINS = "10000"
"""How often a thread of GNU's OpenMP asks for more work before it sleeps: some 30 microseconds, the time between two
operations of a network. By default it asks for milliseconds. Then, if other programs use the cores, threads that wait
hold up those that work, and networks take many times as long (docs/measurements.md)."""


def entry() -> None:
    """The console script."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)  # read when PyTorch is imported
    sys.exit(main())
