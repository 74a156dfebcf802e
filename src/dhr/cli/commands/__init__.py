"""Each command's part of the command line: its text, its parser, and the call that its arguments stand for.

These modules import what they need when they are called, so that no command waits for another's libraries.
"""
