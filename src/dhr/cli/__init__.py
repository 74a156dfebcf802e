"""The command ``dhr``: one plain function a subcommand, one place where errors become messages and exit codes."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dhr`` with ``arguments`` (by default the process's own) and return its exit code.

    0: all done. 1: done, but some photographs were left out (the summary and run.json say which and why). 2: nothing
    could be done, in one line why. 130: interrupted; the same command goes on.
    """
    from dhr.cli.parser import parse
    from dhr.errors import DhrError

    try:
        command = parse(list(sys.argv[1:] if arguments is None else arguments))
        return command()
    except DhrError as error:
        print(f"dhr: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("dhr: interrupted; the same command goes on where it stopped", file=sys.stderr)  # noqa: T201
        return 130


def entry() -> None:
    """The console script."""
    sys.exit(main())
