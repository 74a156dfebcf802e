"""The command ``dhr``: one plain function a subcommand, one place where errors become messages and exit codes."""

import sys
from collections.abc import Sequence

from dhr.cli.signals import Ended, ended_by_signals
from dhr.cli.streams import standard_streams

_GOES_ON = "the same command goes on where it stopped"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dhr`` with ``arguments`` (by default the process's own) and return its exit code.

    0: all done. 1: done, but some photographs were left out (the summary and run.json say which and why). 2: nothing
    could be done, or what was printed could not be written; one line says why. 130: interrupted, 143: ended by
    SIGTERM, 129: by SIGHUP; the same command goes on. Where nobody reads what is printed (`dhr run | head -1`),
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
            from dhr.cli.parser import parse

            return parse(arguments)()
    except DhrError as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        _say(f"interrupted; {_GOES_ON}")
        return 130
    except Ended as end:
        _say(f"ended by {end.name}; {_GOES_ON}")
        return end.code
    except SystemExit as end:  # how argparse ends after help and errors of usage
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _say(text: str) -> None:
    print(f"dhr: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201


def entry() -> None:
    """The console script."""
    sys.exit(main())
