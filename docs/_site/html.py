"""What the pages need on top of the theme's for those who hear or type their way: names and keyboard access."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# What scrolls sideways can be reached with the keyboard; a table's head without a text is none.
IN_BODY = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    '<th class="head"><p></p></th>': '<td class="head"></td>',
}
# The theme's two side bars are told apart, and its search page has a heading.
IN_PAGE = {
    '<aside class="sidebar-drawer"': '<aside class="sidebar-drawer" aria-label="All pages"',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    '<div id="search-results">': '<h1>Search</h1>\n<div id="search-results">',
}


def body(app: Any, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Each page's text, before it is written."""
    if "body" in context:
        context["body"] = replaced(context["body"], IN_BODY)


def pages(app: Any, error: Exception | None) -> None:
    """All pages, once they are written."""
    if error is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text()
            if (found := replaced(text, IN_PAGE)) != text and 'aria-label="All pages"' not in text:
                path.write_text(found)


def replaced(text: str, what: dict[str, str]) -> str:
    """The text with each of these replaced."""
    for old, new in what.items():
        text = text.replace(old, new)
    return text


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx."""
    app.connect("html-page-context", body)
    app.connect("build-finished", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
