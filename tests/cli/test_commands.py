"""Every command: a public function, its options, its help."""

import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import dhr as package
from dhr.cli.completion import completion
from dhr.cli.help import help_of
from dhr.cli.options import HIDDEN, Option, arguments_of, options_of
from dhr.cli.table import COMMANDS, Command

OURS = ("settings", "completion")
"""Commands about the command line itself."""


@pytest.fixture(params=COMMANDS.values(), ids=lambda command: command.name)
def command(request: pytest.FixtureRequest) -> Command:
    found: Command = request.param
    return found


def _options(command: Command) -> list[Option]:
    return options_of(command.function, command.positional)


def test_it_is_a_public_function(command: Command) -> None:
    if command.name not in OURS:
        assert getattr(package, command.place.partition(":")[2]) is command.function
    parameters = inspect.signature(command.function).parameters.values()
    assert len(parameters) <= 7
    assert {one.name for one in parameters} - {*HIDDEN} == {option.parameter for option in _options(command)}


def test_every_option_is_explained_and_named_alike(command: Command) -> None:
    options = _options(command)
    assert len({option.name for option in options}) == len(options)
    for option in options:
        assert len(option.text) > 3, option.name
        assert re.fullmatch(r"(--)?[a-z0-9]+([.-][a-z0-9]+)*", option.name), option.name
        assert not option.flag or option.value == ""
    assert {*arguments_of(command.function)} >= {option.parameter for option in options}


def test_out_is_a_folder_and_file_is_a_file(command: Command) -> None:
    for option in _options(command):
        if option.name in ("--out", "--file"):
            assert option.value == {"--out": "DIR", "--file": "FILE"}[option.name]


@pytest.mark.parametrize("columns", ["80", "200", "60"])
def test_help_fits(command: Command, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = help_of(command)
    most = min(80, int(columns))
    assert all(len(line) <= most or "dhr " in line for line in text.splitlines())
    assert "%%" not in text and f"usage: dhr {command.name}" in text
    if columns != "60":
        assert len(text.splitlines()) <= 60
    for option in _options(command):
        if option.required or not option.group or not command.settings:
            assert option.name.removeprefix("--") in text


def test_the_whole_help_has_every_option(command: Command) -> None:
    text = help_of(command, whole=True)
    for option in _options(command):
        assert option.name.removeprefix("--") in text
        assert " ".join(option.text.split()[:3]).lower()[1:].rstrip(".") in " ".join(text.split()).lower()


def test_settings_of_the_short_help_exist(command: Command) -> None:
    assert {*command.settings} <= {option.key for option in _options(command)}
    assert len(command.settings) <= 16


def test_all_examples_can_be_read(command: Command) -> None:
    from dhr.cli import call

    for example in command.examples:
        words = example.partition(" > ")[0].split()
        if "--config" not in words:
            call(words[1:])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: Any) -> None:
    script = completion(shell).text
    assert all(name in script for name in COMMANDS)
    assert "method.tau" in script and "no-stages" in script
    if shell == "bash":
        asked = f'{script}\nCOMP_WORDS=(dhr run --method.t); COMP_CWORD=2; _dhr; echo "${{COMPREPLY[@]}}"'
        found = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
        assert found.stdout == "--method.tau\n"


def test_settings_are_explained(dhr: Any) -> None:
    assert "classifier" in dhr(["settings"]).out and "student_training" in dhr(["settings"]).out
    one = dhr(["settings", "method.tau"]).out
    assert "method.tau [0.8]" in one and "a number" in one
    assert "presets: " in dhr(["settings", "method.combine"]).out
    assert dhr(["settings", "image.long-side"]).code == 0
    assert dhr(["settings", "method.tua"]).err == "dhr: no setting 'method.tua'; did you mean method.tau?\n"


def test_quiet_prints_the_last_line(dhr: Any) -> None:
    whole = dhr(["models"]).out.splitlines()
    assert dhr(["models", "-q"]).out.splitlines() == whole[-1:] or len(whole[-1]) < 80
    assert len(dhr(["models", "-q"]).out.splitlines()) == 1


def test_help_is_quick() -> None:
    code = "import sys; from dhr.cli import main; main(['run', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
