"""Prints the address of the page for review, and serves it."""

from dhr.api.review import ReviewSession
from dhr.cli.terminal import Terminal
from dhr.words import counted


def review(terminal: Terminal, result: ReviewSession) -> None:
    """Print the address, and serve the page until Ctrl-C."""
    with result:
        terminal.say(f"{counted(result.photographs, 'mask')} to review at {result.url}")
        terminal.say("Whoever has this address can change the masks. Everything is saved at once; Ctrl-C ends.")
        try:
            result.wait()
        except KeyboardInterrupt:
            terminal.say("Ended; all decisions are saved.")
