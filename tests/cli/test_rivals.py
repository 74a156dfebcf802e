"""The rows of the benchmarks: all settings are read as a call would read them, and published figures stay apart."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest

from dhr.api.rows import read_rows
from dhr.cli.table import COMMANDS
from dhr.method.config import PRESETS
from dhr.recipes import RECIPES
from dhr.sources import SOURCES

FILES = sorted((Path(__file__).parents[2] / "configs" / "rivals").glob("*.yaml"))


def test_there_is_a_file_for_each_benchmark() -> None:
    assert [path.stem for path in FILES] == ["ade", "coco", "context", "context60", "stuff", "voc"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_rivals_is_read(path: Path) -> None:
    found = read_rows(str(path), {"classifier.file": "base.safetensors"})
    for row in found.rows:
        config = row.config
        assert {config.wss.kind, *config.sources} <= {*SOURCES}
        takes = config.wss.kind in ("classifier", "irn")
        assert row.masks is not None or (config.classifier.file is not None) == takes, row.name
        given = config.source_settings.get("files", {}).get("maps")
        for folder in (row.masks, config.wss.maps, given):
            assert folder is None or folder.parent == path.parent / "masks" / path.stem
        assert isinstance(row.settings, dict) and row.settings["recipe"] in RECIPES
        assert row.settings.get("preset", "default") in PRESETS
    figures = [one.published for one in found.rows if one.published] + [*found.elsewhere.values()]
    assert len(figures) >= 5
    for one in figures:  # a figure without tags must not pass for one with them
        assert 20 < one.miou < 90 and ("without tags" in one.source or "tags in training only" in one.source)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_command_of_the_file_names_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert f"--rows configs/rivals/{path.name} " in text and "docs/reproduce.md" in text


def rows_of_the_pages() -> list[tuple[str, list[str]]]:
    """The rows of all commands `dhr compare` in the pages and in the help."""
    found = []
    root = Path(__file__).parents[2]
    texts = [(page.name, page.read_text(encoding="utf-8")) for page in sorted((root / "docs").glob("*.md"))]
    texts.append(("help", "\n".join(f"    {line}" for line in COMMANDS["compare"].examples)))
    for name, text in texts:
        lines = re.findall(r"^ +dhr compare (.*)$", text.replace("\\\n", " "), re.MULTILINE)
        lines += re.findall(r"`dhr compare ([^`]*)`", text)
        for line in lines:
            words = shlex.split(line, comments=True)
            if "--rows" not in words:
                continue
            after = words[words.index("--rows") + 1 :]
            rows = list(takewhile(lambda word: not word.startswith("--"), after))
            found.append((name, [str(root / row) if row.startswith("configs/") else row for row in rows]))
    return found


@pytest.mark.parametrize(("page", "rows"), rows_of_the_pages())
def test_rows_of_the_pages_are_read(page: str, rows: list[str]) -> None:
    if rows != ["rows.yaml"]:  # one's own file
        assert read_rows(rows).rows


def test_the_pages_have_rows() -> None:
    assert {"evaluate.md", "reproduce.md", "help"} <= {page for page, _ in rows_of_the_pages()}


def test_the_sources_have_rows() -> None:
    for path in FILES:
        kinds = {kind for row in read_rows(str(path)).rows if row.masks is None for kind in row.config.kinds}
        assert kinds >= {"classifier", "irn", "clip", "maskclip", "clipseg", "tips", "boxes", "sam3", "files"}, path
