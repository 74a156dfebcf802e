"""Scripts by which a shell completes commands and options."""

from typing import Literal

from dhr.api.result import TableResult
from dhr.cli.options import options_of
from dhr.cli.table import COMMANDS


def completion(shell: Literal["bash", "zsh", "fish"]) -> TableResult:
    """Print a script that completes commands and options of `dhr` in a shell.

    Args:
        shell: bash, zsh or fish.

    Returns:
        The script.
    """
    options = {name: _options(name) for name in COMMANDS}
    if shell == "fish":
        lines = [f"complete -c dhr -n __fish_use_subcommand -f -a {name}" for name in COMMANDS]
        lines += [
            f"complete -c dhr -n '__fish_seen_subcommand_from {name}' -l {option.removeprefix('--')}"
            for name, found in options.items()
            for option in found
        ]
        return TableResult([], "\n".join(lines))
    cases = "\n".join(f"    {name}) words='{' '.join(found)}' ;;" for name, found in options.items())
    first = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return TableResult([], f"{first}{_BASH.format(commands=' '.join(COMMANDS), cases=cases)}")


def _options(name: str) -> list[str]:
    """Return the options of a command as they are typed; each group of settings once, with its dot."""
    command = COMMANDS[name]
    found = ["--help", "--quiet", "--verbose"]
    for option in options_of(command.function, command.positional):
        if option.name.startswith("--"):
            found.append(option.name)
            found += [f"--no-{option.name[2:]}"] if option.flag else []
    return found


_BASH = """\
_dhr() {{
  local words current="${{COMP_WORDS[COMP_CWORD]}}"
  case "${{COMP_WORDS[1]}}" in
{cases}
    *) words='{commands}' ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words='{commands}'; fi
  if [[ "$current" == -* || "$COMP_CWORD" -eq 1 ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}}
complete -o filenames -F _dhr dhr"""
