"""viz.fold: groups as one box, and large graphs that fit a page."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
import viz
from viz.fold import Sketch, sketch
from viz.trace import trace


def leaf(value: Any) -> Any:
    return minigrad.tensor(value, requires_grad=True)


def titles(drawn: Sketch) -> list[str]:
    return [box.title for key, box in drawn.boxes.items() if key not in drawn.home]


def grouped() -> Any:
    a, w = leaf([1.0, 2.0]), leaf([0.5, 0.5])
    with viz.scope("first"):
        h = (a * w).tanh()
    with viz.scope("second"):
        with viz.scope("inner"):
            k = h * h + h
        y = (k * 2).sum()
    return y, {"h": h, "k": k, "y": y}


def test_a_collapsed_group_is_one_box_with_what_comes_out_of_it() -> None:
    y, names = grouped()
    graph = trace(y, names)
    drawn = sketch(graph, collapse=["second"])
    assert titles(drawn) == ["second"] and drawn.boxes["box1"].ops == 4
    shown = {v.name for v in graph.values.values() if v.key not in drawn.home}
    assert {"h", "y"} <= shown and "k" not in shown
    dot = viz.show(y, names, collapse=["second"]).dot
    (h, out) = (next(v.key for v in graph.values.values() if v.name == n) for n in "hy")
    edges = set(re.findall(r"^\t*(\w+) -> (\w+)", dot, re.M))
    assert (h, "box1") in edges and ("box1", out) in edges
    assert "3 edges" in dot  # of h, which is used three times inside


def test_depth_is_how_many_levels_are_drawn() -> None:
    y, names = grouped()
    assert titles(sketch(trace(y, names), depth=1)) == ["first", "second"]
    assert titles(sketch(trace(y, names), depth=2)) == ["inner"]
    assert titles(sketch(trace(y, names), depth=3)) == []


@pytest.mark.parametrize("pattern", ["inner", "second/inner", "in*"])
def test_a_group_by_name_path_or_pattern(pattern: str) -> None:
    y, names = grouped()
    assert titles(sketch(trace(y, names), collapse=[pattern])) == ["inner"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("1", ["1 (Sequential)"]),
        ("1.0", ["0 (Linear)"]),
        ("net/1/0", ["0 (Linear)"]),
        ("net.1.0", ["0 (Linear)"]),
        ("Linear", ["0 (Linear)", "0 (Linear)"]),
        ("*.0", ["0 (Linear)", "0 (Linear)"]),
        ("net", ["net (Sequential)"]),
    ],
)
def test_a_module_by_its_path_or_class(pattern: str, found: list[str]) -> None:
    nn = minigrad.nn
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1), nn.Tanh()))
    y = net(minigrad.ones(3, 2))
    drawn = sketch(trace(y, {"net": net}), collapse=[pattern])
    assert titles(drawn) == found
    if pattern == "Linear":
        assert [box.about[-1] for box in drawn.boxes.values()] == ["with weight, bias"] * 2
    with pytest.raises(viz.UnknownGroup, match="no group '2'; its groups are net, net/0, net/1, net/1/0, net/1/1$"):
        viz.show(y, {"net": net}, collapse="2")


def test_an_unknown_group() -> None:
    with pytest.raises(viz.RenderError, match="no group 'third'; its groups are first, second, second/inner"):
        viz.show(grouped()[0], collapse=["third"])
    with pytest.raises(viz.RenderError, match="it has no groups"):
        viz.show(leaf(1.0) * 2, collapse="third")


def test_repetition_is_folded_and_says_how_often() -> None:
    x, w = leaf(0.5), leaf(1.0)
    y = x
    for _ in range(1000):
        y = (y * w).tanh()
    picture = viz.show(y, locals())
    assert titles(picture.drawn) == ["x 998  * tanh"]
    assert picture.drawn.size() == len(picture.graph) - len(picture.drawn.home) + 1 < 20
    assert "4,002 values and ops; 1,996 values and 1,996 ops are not drawn" in picture.notes[0]
    assert "not drawn one by one" in picture.svg and "998 edges" in picture.dot
    assert not viz.show(y, max_nodes=None).drawn.boxes
    assert not viz.show(leaf(1.0) * 2).notes


def test_groups_that_repeat_are_folded_with_what_is_inside() -> None:
    y = leaf(np.ones(8, np.float32))
    for _ in range(200):
        with viz.scope("block"), viz.scope("mix"):
            y = (y * 2).tanh() + y
    drawn = viz.show(y.sum()).drawn
    assert titles(drawn) == ["x 198  * tanh +"]


def test_many_alike_side_by_side() -> None:
    y = minigrad.stack([(leaf([float(i), 1.0]) * 2).sum() for i in range(400)])
    drawn = viz.show(y).drawn
    assert titles(drawn) == ["x 398  * sum"] and drawn.size() < 20
    y = minigrad.stack([leaf([float(i), 1.0]) for i in range(900)])
    drawn = viz.show(y).drawn
    assert titles(drawn) == ["x 880  values"] and drawn.size() < 30


def test_a_warning_inside_a_box_is_told_on_it() -> None:
    y = leaf(1.0)
    for i in range(600):
        y = y * 2
        y.name = f"y{i}"
        if i == 300:
            kept = y * np.inf
            y = kept * 1
    dot = viz.show(y, {"kept": kept}).dot
    assert "inside: is inf" in dot


def irregular(count: int) -> Any:
    chance = random.Random(0)
    pool = [leaf(0.5), leaf(np.linspace(-1, 1, 6).astype(np.float32))]
    for _ in range(count):
        a, b = chance.choice(pool[-9:]), chance.choice(pool[-9:])
        pool.append(chance.choice([lambda a=a, b=b: a * b, lambda a=a, b=b: a - b, a.tanh, a.sigmoid])())
    return minigrad.stack([p.sum() for p in pool[-9:]]).sum()


def test_what_does_not_repeat_keeps_its_ends() -> None:
    drawn = viz.show(irregular(2000)).drawn
    assert drawn.size() <= 500
    assert any("left out" in title for title in titles(drawn)) and "for the middle" in drawn.notes[0]


@pytest.mark.parametrize("max_nodes", [20, 60, 500])
def test_every_edge_leads_to_what_is_drawn(max_nodes: int) -> None:
    dot = viz.show(irregular(300), max_nodes=max_nodes).dot
    nodes = set(re.findall(r"^\t+(\w+) \[label", dot, re.M))
    ends = {end for edge in re.findall(r"^\t*(\w+) -> (\w+)", dot, re.M) for end in edge}
    assert ends <= nodes and len(nodes - ends) == 0


def test_a_hundred_thousand_nodes(tmp_path: Path) -> None:
    y = x = leaf(0.5)
    for _ in range(25_000):
        y = (y * 0.999).tanh() if y.ndim else y + x
        y = y * 1.0001
    picture = viz.render(y, tmp_path / "large.svg")
    assert len(picture.graph) > 100_000 and picture.drawn.size() < 40
    assert (tmp_path / "large.svg").stat().st_size < 100_000


def test_what_goes_between_folded_groups_is_folded_with_them() -> None:
    x = y = leaf([0.5, 0.1])
    for i in range(600):
        with viz.scope(f"g{i}"):
            y = (y * 2).tanh() + i
    drawn = sketch(trace(y.sum()), depth=1)
    assert drawn.folded and drawn.size() <= 500
    left = [key for key in drawn.graph.values if key not in drawn.home]
    assert len(left) < 260 and not sketch(trace(x * 2), depth=1).folded
