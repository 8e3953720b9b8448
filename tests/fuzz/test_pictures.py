"""Names of any kind in pictures and pages: they are text there, and nothing else than the file is written."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

import minigrad as mg
import viz
from models.errors import BadInput
from models.metrics import read_metrics
from models.mlp import PARAMETERS
from tests.fuzz.mutate import TOKENS
from viz import plots

COUNT = int(os.environ.get("MINIGRAD_FUZZ", "50"))
PIECES = [
    *(token.decode("utf-8", "replace")[:50] for token in TOKENS), "<", ">", "&", "\"", "'", "&#0;", "]]>", "<!--",
    "-->",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "\\N", "\\", "|", "%", "`",
    "${x}",
    "</TABLE>", "];", "{rank=same}", "URL=\"http://x\"", "\u2028", "\u202e", "\ud800", "\ufffe", "\x7f", "\x85",
    "__proto__",
]  # fmt: skip
NAMES = st.lists(
    st.one_of(st.text(max_size=20), st.lists(st.sampled_from(PIECES), max_size=4).map("".join)),
    min_size=10,
    max_size=20,
)
TAGS = ("svg", "g", "title", "desc", "style", "text", "polygon", "ellipse", "path", "polyline")
FILES = settings(max_examples=max(2, COUNT // 20), suppress_health_check=list(HealthCheck))


def _graph(names: list[str]) -> tuple[mg.Tensor, dict[str, mg.Tensor]]:
    leaves = {name: mg.tensor(float(i), requires_grad=True) for i, name in enumerate(names)}
    with viz.scope(names[0] or "x"), viz.scope(names[-1] or "x"):
        total = mg.stack(list(leaves.values())).sum()
    total.backward(retain_graph=True)
    return total, leaves


@FILES
@given(NAMES)
def test_names_in_a_picture(tmp_path: Path, names: list[str]) -> None:
    total, leaves = _graph(names)
    svg = viz.render(total, tmp_path / "graph.svg", leaves).svg
    elements = list(ET.fromstring(svg).iter())
    assert {element.tag.rpartition("}")[2] for element in elements} <= set(TAGS)
    keys = {key for element in elements for key in element.attrib}
    assert not {key for key in keys if key.lower().startswith("on") or key.lower().endswith(("href", "src"))}
    assert not re.search(r"<!DOCTYPE(?! svg)|<!ENTITY|<\?xml-stylesheet|@import|url\(", svg)
    circles = sum(1 for leaf in leaves.values() if leaf.requires_grad)
    assert svg.count("leaf") >= circles  # none has swallowed another
    assert [path.name for path in tmp_path.iterdir()] == ["graph.svg"]


NUMBERS = st.one_of(st.floats(0), st.sampled_from([0, 5e-324, 1e-45, 1e-300, 3.4e38, 9e38, 9e99, 1, 10**18]))
LINES = st.lists(
    st.tuples(st.integers(1, 2**45), NUMBERS, NUMBERS, st.dictionaries(st.sampled_from(PARAMETERS), NUMBERS)),
    min_size=1, max_size=6,
)  # fmt: skip


@FILES
@given(LINES)
def test_whatever_metrics_are_read_are_drawn(tmp_path: Path, made: list[Any]) -> None:
    step, rows = -1, []
    for apart, loss, mean, ratios in made:
        step += apart
        rows.append({"step": step, "loss": loss, "mean_loss": mean, "update_to_data": ratios})
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        lines = read_metrics(path)
    except BadInput as error:
        assert "is inf" in str(error) or any(f"is {x!r}" in str(error) for row in made for x in _all(row))
        return
    steps = [line["step"] for line in lines]
    ratios = {name: [line["update_to_data"].get(name) for line in lines] for name in PARAMETERS}
    for figure in (
        plots.loss([line["loss"] for line in lines], steps, means=[line["mean_loss"] for line in lines]),
        plots.update_ratios(steps, ratios),
    ):
        plots.save(figure, tmp_path / "plot.png")


def _all(row: Any) -> list[Any]:
    return [*row[1:3], *row[3].values()]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def _tags(path: Path) -> _Tags:
    found = _Tags()
    found.feed(path.read_text("utf-8"))
    found.close()
    return found


@FILES
@given(NAMES, st.sampled_from(PIECES))
def test_names_in_a_page(tmp_path: Path, names: list[str], title: str) -> None:
    """The page has the same elements whatever the names are."""
    total, leaves = _graph([f"x{i}" for i in range(len(set(names)))])
    viz.page(total, tmp_path / "plain.html", names=leaves)
    plain = _tags(tmp_path / "plain.html")
    (tmp_path / "plain.html").unlink()
    total, leaves = _graph(names)
    viz.page(total, tmp_path / "page.html", names=leaves, title=title, labels=[title])
    found = _tags(tmp_path / "page.html")
    assert found.tags == plain.tags and found.attributes == plain.attributes
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
