"""Graphviz's own `dot`, which is taken where graphviz-pure is not: the same nodes, edges and words."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from typing import Any

import pytest

import minigrad as mg
import viz
import viz.dot

DOT = shutil.which("dot")
pytestmark = pytest.mark.skipif(DOT is None, reason="Graphviz's dot is not installed (make browser installs it)")
SVG = "{http://www.w3.org/2000/svg}"


def scalar() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    a, b = mg.tensor(2.0, requires_grad=True), mg.tensor(-3.0, requires_grad=True)
    c = (a * b + b**3).relu() + a
    c.backward()
    return c, {"a": a, "\u03b2": b, "<c>&\"\\N": c}, {}


def layers() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    g = mg.Generator().manual_seed(1)
    net = mg.nn.Sequential(mg.nn.Linear(5, 7), mg.nn.Tanh(), mg.nn.Linear(7, 3))
    loss = mg.nn.functional.cross_entropy(net(mg.randn(8, 5, generator=g)), mg.arange(8) % 3)
    loss.backward()
    return loss, {"net": net, "loss": loss}, {"collapse": "2 (Linear)"}


def chain() -> tuple[Any, dict[str, Any], dict[str, Any]]:
    x = mg.tensor([0.1, 0.2, 0.3, 0.4, 0.5], requires_grad=True)
    y = x
    for _ in range(400):
        y = (y * 1.01).tanh()
    y.sum().backward()
    return y.sum(), {"x": x}, {}


def words(svg: str) -> dict[str, tuple[str, str, list[str]]]:
    """By id: class, title, and what is written on a part."""
    found = {}
    for g in ET.fromstring(svg).iter(f"{SVG}g"):
        written = sorted(re.sub(r"\s+", " ", "".join(t.itertext())).strip() for t in g.findall(f".//{SVG}text"))
        if g.get("class") != "graph":
            found[g.get("id", "")] = (g.get("class", ""), g.findtext(f"{SVG}title") or "", [w for w in written if w])
    return found


@pytest.mark.parametrize("graph", [scalar, layers, chain])
def test_dot_draws_the_same(monkeypatch: pytest.MonkeyPatch, graph: Any) -> None:
    output, names, options = graph()
    pure = viz.show(output, names, **options).svg
    monkeypatch.setattr(viz.dot, "_program", lambda: DOT)
    picture = viz.show(output, names, **options)
    assert picture.lay_out("png").startswith(b"\x89PNG")
    ours, theirs = words(pure), words(picture.svg)
    assert ours == theirs and len(ours) > 9
    assert "(prefers-color-scheme:dark)" in picture.svg and "<!--" not in picture.svg and "href" not in picture.svg
    sizes = [[float(n) for n in re.findall(r'(?:width|height)="(\d+)pt"', svg)] for svg in (pure, picture.svg)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.3)


def test_a_layout_that_takes_too_long_becomes_a_simpler_one(monkeypatch: pytest.MonkeyPatch) -> None:
    output, names, _ = layers()
    monkeypatch.setattr(viz.dot, "_program", lambda: DOT)
    real, asked = viz.dot.subprocess.run, []

    def slow(command: list[str], **kwargs: Any) -> Any:
        asked.append(command)
        if len(asked) == 1:
            raise viz.dot.subprocess.TimeoutExpired(command, 20)
        return real(command, **kwargs)

    monkeypatch.setattr(viz.dot.subprocess, "run", slow)
    picture = viz.show(output, names)
    assert "drawn with straight edges" in picture.svg and "-Gsplines=line" in asked[1]
