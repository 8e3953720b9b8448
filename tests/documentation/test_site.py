"""The built site: links, rules, search, accessibility, and that nothing is fetched from elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from minigrad import ops

WITHOUT = "the documentation is not looked at in a browser: "


class Links(HTMLParser):
    """The ids of a page, where its links lead, what it loads, and each picture's text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.unnamed: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {found[key] or "" for key in ("id", "name") if key in found}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        if tag == "img" and not (found.get("alt") or "").strip():
            self.unnamed.append(found.get("src") or "")
        if tag in ("img", "script", "iframe", "source") and found.get("src"):
            self.loads.append(found["src"] or "")
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload", "preconnect", "dns-prefetch"):
            self.loads.append(found["href"] or "")


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path) for path in site.rglob("*.html")}


def test_links_lead_somewhere(pages: dict[Path, Links]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            if re.match(r"(https?|mailto|data):", link):
                continue
            address, anchor = urldefrag(link)
            to = (path.parent / unquote(address.split("?")[0])).resolve() if address else path
            if not to.is_file() or (anchor and to.suffix == ".html" and unquote(anchor) not in pages[to].ids):
                broken.append(f"{path.name}: {link}")
    assert not broken, "\n".join(broken)


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Links]) -> None:
    assert [load for page in pages.values() for load in page.loads if re.match(r"(https?:)?//", load)] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", styles) == []


def test_pictures_have_a_text(pages: dict[Path, Links]) -> None:
    assert [src for page in pages.values() for src in page.unnamed] == []


def test_each_rule_is_shown_once_with_its_picture(site: Path, pages: dict[Path, Links]) -> None:
    shown = Counter(key for page in pages.values() for key in page.ids if key.startswith("rule-"))
    assert shown == Counter(f"rule-{name.lower()}" for name in ops.ALL)
    drawn = {path.stem for path in (site / "_images/rules").glob("*.svg")}
    assert {name for name, op in ops.ALL.items() if not op.integer_only} <= drawn


def test_formulas_come_from_the_docstrings(site: Path) -> None:
    text = (site / "rules/elementwise.html").read_text()
    assert "dx = (1 - h**2) * dh" in re.sub(r"<[^>]+>", "", text)
    tanh = text[text.index('id="rule-tanh"') : text.index('id="rule-sigmoid"')]
    assert "A node keeps h." in re.sub(r"<[^>]+>", "", tanh) and "_images/rules/Tanh.svg" in tanh
    assert "0.07065" in tanh  # 1 - tanh(2)**2, of the table of edge cases


def test_public_names_are_in_the_reference(site: Path, pages: dict[Path, Links]) -> None:
    import minigrad as mg
    import viz
    from minigrad import nn, optim

    ids = {key for path, page in pages.items() if path.parent.name == "api" for key in page.ids}
    spaces = {"minigrad": mg, "minigrad.nn": nn, "minigrad.nn.functional": nn.functional, "minigrad.optim": optim}
    wanted = [f"viz.{name}" for name in viz.__all__ if name != "plots"]
    for space, module in spaces.items():
        ours = {name: getattr(module, name) for name in vars(module) if not name.startswith("_")}
        wanted += [
            f"{space}.{name}"
            for name, value in ours.items()
            if str(getattr(value, "__module__", "")).startswith("minigrad.functions") and space == "minigrad"
        ]
    assert [name for name in wanted if name not in ids] == []


# ------------------------------------------------------------------------------------------- in the browser


@pytest.fixture
def look(chromium: Any, site: Path) -> Iterator[Callable[..., Any]]:
    """Open a page of the site; at the end the console has no error or warning, and no request left the folder."""
    seen: list[str] = []
    contexts = []

    def opened(path: Path, **settings: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **settings})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(60_000)  # a busy machine is slow
        tab.on("console", lambda message: said(message.type, message.text))
        tab.on("pageerror", lambda error: seen.append(f"error: {error}"))
        tab.on("requestfailed", lambda request: seen.append(f"failed: {request.url}"))
        tab.on("request", lambda request: asked(request.url))
        tab.goto(path.as_uri())
        return tab

    def said(kind: str, text: str) -> None:
        if kind in ("error", "warning"):  # the theme's switch tells on the console what it did
            seen.append(f"console: {text}")

    def asked(url: str) -> None:
        if not url.startswith((site.as_uri(), "data:", "blob:")):
            seen.append(url)

    yield opened
    for context in contexts:
        context.close()
    assert seen == []


MAIN = ["index", "tutorial/mlp", "rules/fused", "api/optim", "from-torch", "search"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_axe_finds_nothing(site: Path, look: Callable[..., Any], scheme: str, width: int) -> None:
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright", reason=WITHOUT + "axe is not there")
    axe = axe_playwright.Axe()
    said = []
    for name in MAIN:
        tab = look(site / f"{name}.html", color_scheme=scheme, viewport={"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width} pixels"
        # preload would fetch the style sheets anew, which a browser refuses to a file on disk
        options = {"resultTypes": ["violations"], "preload": False}
        found = axe.run(tab, options=options).response["violations"]
        said += [(name, v["id"], v["help"], [node["html"][:150] for node in v["nodes"][:3]]) for v in found]
    assert not said, said


def test_search_finds_batch_norm(site: Path, look: Callable[..., Any]) -> None:
    tab = look(site / "index.html")
    tab.fill(".sidebar-search", "batch norm")
    tab.press(".sidebar-search", "Enter")
    tab.wait_for_selector("#search-results ul.search li a >> text=minigrad.ops.BatchNorm")
    found = [a.inner_text() for a in tab.query_selector_all("#search-results ul.search li a")]
    assert {"Several steps as one rule", "minigrad.nn.BatchNorm1d", "minigrad.ops.BatchNorm"} <= set(found[:8]), found
    tab.click("#search-results ul.search li a >> text=minigrad.ops.BatchNorm")
    tab.wait_for_selector("#rule-batchnorm h3")
    assert tab.url.startswith((site / "rules/fused.html").as_uri())


def test_the_theme_can_be_switched(site: Path, look: Callable[..., Any]) -> None:
    tab = look(site / "rules/elementwise.html", color_scheme="light")
    seen = {}
    for _ in range(3):
        tab.click(".theme-toggle-content button")
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        seen[tab.get_attribute("body", "data-theme")] = colour
    assert {"light", "dark"} <= set(seen) and seen["light"] != seen["dark"] and seen["auto"] == seen["light"]
