"""The site: its reference covers the code, its sidebar all pages, and its tutorial's program works."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import dhr
from dhr.cli.options import options_of
from dhr.cli.table import COMMANDS
from dhr.job.settings import RunConfig

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.md"))


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    yield _module("reference")
    del sys.modules["reference"]


def _module(name: str) -> ModuleType:
    spec = spec_from_file_location(name, DOCS / "site" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _leaves(config: object, prefix: str = "") -> Iterator[str]:
    for field in fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        yield from _leaves(value, f"{prefix}{field.name}.") if is_dataclass(value) else [f"{prefix}{field.name}"]


def test_the_reference_lists_every_command_with_its_options(reference: ModuleType) -> None:
    sections = re.split(r"^## dhr ", reference.commands(), flags=re.MULTILINE)[1:]
    by_name = {section.partition("\n")[0]: section for section in sections}
    assert list(by_name) == list(COMMANDS)
    settings = set(_leaves(RunConfig()))
    for name, command in COMMANDS.items():
        for option in options_of(command.function, command.positional):
            shared = option.group and option.key in settings
            assert shared or f"{{option}} {option.shown}\n" in by_name[name], f"{name} {option.name}"
            group = reference.anchor(option.key.rpartition(".")[0])
            assert not shared or f"(settings.md#{group})" in by_name[name], f"{name} {option.name}"


def test_the_reference_explains_every_setting(reference: ModuleType) -> None:
    text = reference.run_settings()
    found = re.findall(r"^`+\{confval\} (\S+)\n(.+)$", text, re.MULTILINE)
    assert sorted(name for name, _ in found) == sorted(_leaves(RunConfig()))
    assert all(len(words) > 10 for _, words in found)
    anchors = {
        reference.anchor(title if "Single" not in title else "") for title in re.findall(r"^## (.+)$", text, re.M)
    }
    assert anchors == {reference.anchor(name.rpartition(".")[0]) for name, _ in found}


def test_the_reference_documents_every_public_name_and_result(reference: ModuleType) -> None:
    text = reference.python()
    for name in dhr.__all__:
        assert re.search(rf":: dhr\.(errors\.)?{name}$", text, re.MULTILINE), name
    for name in ("dhr.api.results.RunResult", "dhr.api.result.Result", "dhr.data.samples.DataSet"):
        assert f":: {name}\n" in text


def test_the_start_page_leads_to_all_pages() -> None:
    listed = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if "_build" not in page.parts}
    assert sorted(listed) == sorted(pages - {"index.md"})


def test_generated_parts_of_pages_exist() -> None:
    made = {
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"<!-- made: (\w+) -->\n.+?\n<!-- end -->", page.read_text(encoding="utf-8"), re.DOTALL)
    }
    assert made == {"commands", "settings", "python"}


def test_the_tutorials_program_draws_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (DOCS / "tutorial" / "microscope.md").read_text(encoding="utf-8")
    program = re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert program is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(program[1], "microscope.md", "exec"), {})  # a program of ours
    data = dhr.open_data("cells")
    assert data.classes.names == ("background", "nucleus", "fibre") and len(data.samples) == 60
    for sample in data.samples[:9]:
        truth = data.read_ground_truth(sample)
        assert {*map(int, set(truth.ravel()))} == {0, *sample.tags}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda page: page.stem)
def test_notebooks_use_public_names_and_few_libraries(notebook: Path) -> None:
    """`make docs` executes them."""
    text = notebook.read_text(encoding="utf-8")
    assert "format_name: myst" in text.split("---")[1], "without it the site would not execute the page"
    cells = re.findall(r"^```\{code-cell\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell))]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "dhr"}
    assert used and used <= {*dhr.__all__}
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    others = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert others <= {"dhr", "matplotlib", "numpy", "PIL"}
