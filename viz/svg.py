"""The last hand on an SVG: what each part is in words, colours for a dark screen, and nothing from outside."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from .look import DARK

__all__ = ["finish"]

_PART = re.compile(r'(<g id="([\w-]+)" class="(?:node|edge|cluster)">\n)<title>[^<]*</title>')


def finish(svg: str, titles: Mapping[str, tuple[str, str]], title: str, description: str) -> str:
    """Graphviz's SVG with a title and a description at each part for screen readers (and under the pointer), a style
    that follows the reader's colour scheme on a screen and stays light in print, and without its DOCTYPE's address.
    """
    start = svg.index("<svg")
    head, body = svg[start:].split(">", 1)
    head = head.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    body = re.sub(r"<!--.*?-->\n?", "", body, flags=re.S)
    body = re.sub(r'(<g id="graph0" class="graph"[^>]*>\n)<title>[^<]*</title>\n', r"\1", body)
    body = _PART.sub(lambda part: part[1] + _words(*titles.get(part[2], ("", ""))), body)
    body = body.replace('class="node">', 'class="node" role="graphics-symbol img">')
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{head} class="minigrad" role="graphics-document document">\n'
        f"{_words(title, description)}\n<style>{_style()}</style>{body}"
    )


def _words(title: str, description: str) -> str:
    return f"<title>{_text(title)}</title>" + (f"<desc>{_text(description)}</desc>" if description else "")


def _text(text: str) -> str:
    return html.escape(text, quote=False)


def _style() -> str:
    """Colours are looked up by the light one that Graphviz wrote: a style wins over an attribute."""
    rules = "".join(
        f'.minigrad [fill="{light}"]{{fill:{dark}}}.minigrad [stroke="{light}"]{{stroke:{dark}}}'
        for light, dark in DARK.items()
    )  # within .minigrad: a notebook puts the picture into its own page
    return f"@media screen and (prefers-color-scheme:dark){{{rules}}}"
