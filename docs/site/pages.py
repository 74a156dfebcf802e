"""The pages of the site as Sphinx reads them: plain Markdown files, with the parts that only a site has put in."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reference
from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ROOT = Path(__file__).parents[2]
_MADE = {"commands": reference.commands, "settings": reference.run_settings, "python": reference.python}
_COPIED = {"CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
"""Files beside README that are pages of the site as well."""
_COLON = "\ue000"
"""In place of a colon of an attribute's docstring: napoleon would take the words before it for a type."""
_SHELL = re.compile(r"^(dhr|make|pip|python|git|cp|yolo) ")


def setup(app: "Sphinx") -> dict[str, Any]:
    """Connect the changes with Sphinx."""
    app.connect("source-read", _read)
    app.connect("doctree-read", _colour)
    app.connect("autodoc-process-docstring", _escape, priority=400)
    app.connect("autodoc-process-docstring", _restore, priority=600)  # napoleon, which reads sections, is between them
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read(app: "Sphinx", name: str, source: list[str]) -> None:
    """Put generated and copied parts into a page, and lead links to the copies."""
    text = re.sub(r"<!-- made: (\w+) -->.*?<!-- end -->", lambda found: _MADE[found[1]](), source[0], flags=re.DOTALL)
    text = re.sub(r"<!-- copied: (\S+) -->.*?<!-- end -->", lambda found: _copy(found[1]), text, flags=re.DOTALL)
    for file, page in _COPIED.items():
        text = re.sub(rf"\]\((\.\./)+{re.escape(file)}", f"]({'../' * name.count('/')}{page}", text)
    source[0] = text + navigation(text) if name == "index" else text


def _copy(file: str) -> str:
    """Return the text of a file beside README without its title, with links that start at ``docs``."""
    _, _, text = (_ROOT / file).read_text(encoding="utf-8").partition("\n")
    text = re.sub(r"\]\((?!https?:|#|mailto:)", "](../", text)
    return text.replace("](../docs/", "](")


def navigation(text: str) -> str:
    """Return hidden tables of contents: one for each section of the start page that lists pages.

    So the lists that people read are also the order of the pages in the sidebar.
    """
    made = ""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, rest = section.partition("\n")
        pages = re.findall(r"^- \[[^\]]+\]\(([^)#:]+)\.md\)", rest, re.MULTILINE)
        if pages:
            made += "\n".join(("", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""))
    return made


def _colour(_app: "Sphinx", document: nodes.document) -> None:
    """Mark blocks of commands as such, so that their comments stand out."""
    for block in document.findall(nodes.literal_block):
        if block.get("language") in (None, "default", "none") and _SHELL.match(block.astext()):
            block["language"] = "bash"


def _escape(_app: "Sphinx", what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Keep asterisks and code of a docstring in reStructuredText, and link the pages that it names."""
    text = re.sub(r"(?<![`:\w])`([^`]+)`(?!`)", r"``\1``", "\n".join(lines))
    parts = re.split(r"(``[^`]+``|^ *>>> .*$)", text, flags=re.MULTILINE)
    text = "".join(part if place % 2 else part.replace("*", r"\*") for place, part in enumerate(parts))
    text = re.sub(r"docs/(\w+)\.md", lambda found: reference.link(found, ":doc:`/{0}`"), text)
    lines[:] = (text.replace(":", _COLON) if what in ("attribute", "property", "data") else text).split("\n")


def _restore(_app: "Sphinx", _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = [line.replace(_COLON, ":") for line in lines]
