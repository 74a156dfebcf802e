"""What all pages share: one file with its style in it, without scripts or links to anything outside."""

from collections.abc import Sequence
from importlib import resources

from dhr.report.text import named, safe

# Even if a name slipped through unescaped, a browser would run and load nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def document(kind: str, title: str, facts: str, body: str) -> str:
    """A whole page; ``facts`` and ``body`` are HTML, ``title`` is text from outside."""
    style = resources.files("dhr.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{safe(title)} · {kind}</title><style>{style}</style></head>\n<body>"
        f'<header class="top"><p class="eyebrow">{kind}</p><h1>{named(title)}</h1><p class="facts">{facts}</p>'
        f"</header>\n<main>{body}</main></body></html>\n"
    )


def tile_row(tiles: Sequence[tuple[str, str]], kind: str) -> str:
    """Numbers in large print, each with what it counts."""
    return (
        f'<dl class="{kind}">'
        + "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for value, label in tiles)
        + "</dl>"
    )
