"""The pages: links lead somewhere; settings and names of the code that they mention exist."""

import inspect
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

import dhr
from dhr.cli.options import options_of
from dhr.cli.table import COMMANDS
from dhr.data import samples
from dhr.job.settings import RunConfig
from dhr.method import survey

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
]
CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FILES = (".py", ".md", ".pt", ".json", ".csv", ".safetensors", ".yaml", ".txt", ".log", ".onnx")


def settings(config: object, prefix: str = "") -> Iterator[str]:
    """Names of all settings, and of their groups."""
    for field in fields(config):  # type: ignore[arg-type]
        name, value = f"{prefix}{field.name}", getattr(config, field.name)
        yield name
        if is_dataclass(value):
            yield from settings(value, f"{name}.")


SETTINGS = set(settings(RunConfig()))
GROUPS = {name.partition(".")[0] for name in SETTINGS if "." in name}
ARGUMENTS = set(inspect.signature(dhr.rebalance).parameters)
RECORDS = (dhr.Rebalanced, samples.ClassTable, samples.DataSet, samples.Sample, survey.Survey)


def is_code(name: str) -> bool:
    """Whether a name is a field of a record, a module of the package, or something in one."""
    head, _, last = name.rpartition(".")
    for record in RECORDS:
        if head == record.__name__:
            return last in record.__annotations__ or hasattr(record, last)
    path = name.removeprefix("dhr.").split(".")
    for end in range(len(path), 0, -1):
        try:
            found = import_module(".".join(("dhr", *path[:end])))
        except ModuleNotFoundError:
            continue
        return len(path) == end or (len(path) == end + 1 and hasattr(found, path[end]))
    return len(path) == 1 and hasattr(dhr, path[0])


def prose(page: Path) -> str:
    """The text of a page without its programs."""
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_a_page_names_exist(page: Path) -> None:
    for option, name in re.findall(r"(?<![\w./])(--(?:no-)?)?([a-z_0-9-]+\.[a-z_0-9.-]*[a-z0-9])", prose(page)):
        known = name.replace("-", "_") if option else name
        if known.partition(".")[0] in GROUPS and not known.endswith(FILES):
            assert known in SETTINGS or is_code(known), f"{page.name} names {option}{name}"


def test_names_in_the_glossary_exist() -> None:
    tables = re.findall(r"^\| word \|.*\n(?:\|.*\n)+", prose(ROOT / "docs" / "glossary.md"), re.MULTILINE)
    names = [
        name
        for table in tables
        for row in table.splitlines()[2:]
        for name in re.findall(r"`([^`]+)`", row.rstrip("|").rpartition("|")[2])
    ]
    assert len(names) > 40
    for name in names:
        option = name.removeprefix("--")
        assert name in SETTINGS or name in ARGUMENTS or option != name or name == "run.json" or is_code(name), name


def commands() -> Iterator[tuple[str, list[str]]]:
    """Commands of the pages: whole lines, and code spans, which may lack values."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        lines = re.findall(r"^ +dhr (.*)$", text, re.MULTILINE)
        spans = [f"{one} ..." for one in re.findall(r"`dhr ([a-z-]+ --[^`]*)`", prose(page))]
        for line in (*lines, *spans):
            yield page.name, shlex.split(line, comments=True)


@pytest.mark.parametrize(("page", "arguments"), [*commands()])
def test_commands_of_the_pages_have_these_options(page: str, arguments: list[str]) -> None:
    name, *rest = arguments
    command = COMMANDS[name]
    options = options_of(command.function, command.positional)
    known = {option.name: option.flag for option in options} | {"--help": True, "--help-all": True}
    known |= {f"--no-{option.name[2:]}": True for option in options if option.flag}
    for token, following in pairwise((*rest, "--")):
        if token.startswith("--"):
            assert token in known, f"{page}: dhr {name} has no option {token}"
            is_last = following.startswith("--") or following == "..."
            assert following == "..." or known[token] == is_last, f"{page}: dhr {name} {token} {following}"


def test_benchmarks_of_the_pages_have_these_options() -> None:
    lines = [
        line
        for page in PAGES
        for line in re.findall(
            r"python (benchmarks/\w+\.py)(.*)$", page.read_text(encoding="utf-8").replace("\\\n", " "), re.MULTILINE
        )
    ]
    assert len(lines) > 10
    for path, arguments in lines:
        source = (ROOT / path).read_text(encoding="utf-8")
        if "maps_parser(" in source:
            source += (ROOT / "benchmarks/common.py").read_text(encoding="utf-8")
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", arguments):
            assert f'"{option}"' in source or f'"{option[2:]}"' in source, f"{path} has no option {option}"
