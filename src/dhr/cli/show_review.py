"""Prints the address of the page for review, and serves it."""

from dhr.api.review import ReviewSession
from dhr.cli.terminal import Terminal
from dhr.words import counted


def review(terminal: Terminal, result: ReviewSession) -> None:
    """Print the address, also with --quiet, and serve the page until Ctrl-C."""
    with result:
        try:
            terminal.say(f"{counted(result.photographs, 'mask')} to review. Whoever has this address can change them:")
            print(result.url, flush=True)  # noqa: T201
            terminal.say("Everything is saved at once. Ctrl-C ends.")
            result.wait()
        except KeyboardInterrupt:
            terminal.say("Ended; all decisions are saved.")
