"""The frame of all pages: one file with its style and its script in it, which loads nothing from outside."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from dhr.report.text import named, safe


@cache
def _part(name: str) -> str:
    return resources.files("dhr.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Return what a browser may run and load, even if a name slipped through unescaped: this script and this style."""
    script = base64.b64encode(hashlib.sha256(_part("script.js").encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def document(kind: str, title: str, facts: str, body: str, main: str = "photographs") -> str:
    """Return a whole page; ``facts`` and ``body`` are HTML, ``title`` is text from outside, ``main`` is the id of the
    element that most people look for.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{safe(title)} · {kind}</title><style>{_part('style.css')}</style></head>\n<body>"
        f'<a class="skip" href="#{main}">Skip to the {main}</a>'
        f'<header class="top"><p class="eyebrow">{kind}</p><h1>{named(title)}</h1><p class="facts">{facts}</p>'
        f"</header>\n<main>{body}</main><script>{_part('script.js')}</script></body></html>\n"
    )


def encoded(page: str) -> bytes:
    """Return the bytes of a page; a file name on Linux need not be valid Unicode."""
    return page.encode("utf-8", "replace")


def tools(list_id: str, items: str, choices: Mapping[str, tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """Return a search field and ``choices`` for the elements ``items`` (a selector) within the element ``list_id``.

    They are hidden where scripts do not run. ``choices`` gives label and options, each value and HTML, by name.
    """
    selects = "".join(
        f'<label>{label} <select name="{name}">'
        + "".join(f'<option value="{value}">{text}</option>' for value, text in options)
        + "</select></label>"
        for name, (label, options) in choices.items()
    )
    return (
        f'<form class="tools" role="search" data-list="{list_id}" data-items="{items}" autocomplete="off" hidden>'
        f'<label>Search by name <input type="search" name="search"></label>{selects}'
        '<button type="reset">Show all</button><output></output></form>'
    )


def tile_row(tiles: Sequence[tuple[str, str]], kind: str) -> str:
    """Return numbers in large print, each with what it counts."""
    return (
        f'<dl class="{kind}">'
        + "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for value, label in tiles)
        + "</dl>"
    )
