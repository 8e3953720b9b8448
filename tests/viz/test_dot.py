"""viz.render: what is in the pictures, and what happens where none can be made."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
import viz
import viz.dot
import viz.picture

SVG = "{http://www.w3.org/2000/svg}"
ROOT = Path(__file__).parents[2]


def leaf(value: Any) -> Any:
    return minigrad.tensor(value, requires_grad=True)


def draw(path: Path, output: Any, names: dict[str, Any] | None = None, **options: Any) -> str:
    viz.render(output, path / "graph.svg", names, **options)
    return (path / "graph.svg").read_text()


def parts(svg: str, kind: str) -> dict[str, ET.Element]:
    """By id what is drawn of a kind: node, edge, cluster."""
    return {g.get("id", ""): g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == kind}


def texts(svg: str) -> list[str]:
    """What is written on each node; the backward formula of an op and the like follow after a bar."""
    return ["|".join("".join(t.itertext()) for t in g.iter(f"{SVG}text")) for g in parts(svg, "node").values()]


def words(svg: str, tag: str = "title") -> list[str]:
    return [g.findtext(f"{SVG}{tag}") or "" for g in parts(svg, "node").values()]


def edges(dot: str) -> list[str]:
    return [f"{tail}->{head}" for tail, head in re.findall(r"^\t*(\w+) -> (\w+)", dot, re.M)]


def micrograd() -> tuple[Any, dict[str, Any]]:
    a, b = leaf(2.0), leaf(-3.0)
    c = a * b
    d = c + b**3
    d.backward()
    return d, {"a": a, "b": b, "c": c, "d": d}


def test_every_value_and_op_is_drawn(tmp_path: Path) -> None:
    d, names = micrograd()
    svg = draw(tmp_path, d, names)
    assert Counter(text.replace("|", "") for text in texts(svg)) == Counter(
        [
            "a = 2.0grad -3.0",
            "b = -3.0grad (2 add up) 29.0",
            "c = -6.0grad 1.0",
            "-27.0grad 1.0",
            "d = -33.0grad 1.0",
            "*dx = dz * y, dy = dz * x",
            "** 3dx = n * x**(n - 1) * dy",
            "+dx = dz, dy = dz",
        ]
    )
    assert len(parts(svg, "edge")) == 2 + 1 + 2 + 3
    assert "b: float32 (), leaf, requires grad" in words(svg)
    assert "value -3.0; grad 29.0; its gradient is the sum of 2 uses" in words(svg, "desc")
    assert any(title.startswith("d = Add(c, ") for title in words(svg))
    assert "z = x + y,  dx = dz,  dy = dz" in words(svg, "desc")


def test_before_backward_it_says_so(tmp_path: Path) -> None:
    a, x = leaf(np.ones(9, np.float32)), minigrad.tensor(np.ones(9, np.float32))
    y = (a * x).tanh()
    svg = draw(tmp_path, y, locals())
    said = {text.split("|")[0]: "no grad yet" in text for text in texts(svg) if text[:2] in ("a|", "x|", "y|")}
    assert said == {"a": True, "x": False, "y": True}
    y.sum().backward()
    assert "no grad yet" not in draw(tmp_path, y, locals())


def test_a_plus_a_has_two_edges(tmp_path: Path) -> None:
    a = leaf(1.0)
    dot = viz.render(a + a, tmp_path / "g.dot").dot
    assert Counter(edges(dot)) == {"v1->op1": 2, "op1->v2": 1}
    assert dot.count("arrowtail=odot") == 2 and "gradients add up" in dot


def test_broadcasting_is_marked_at_its_edge(tmp_path: Path) -> None:
    h, b, k = leaf(np.ones((32, 7), np.float32)), leaf(np.ones(7, np.float32)), leaf(2.0)
    svg = draw(tmp_path, ((h + b) * k).sum(), locals())
    marks = ["".join(t.itertext()) for g in parts(svg, "edge").values() for t in g.iter(f"{SVG}text")]
    assert marks == ["(7,) -> (32, 7)", "() -> (32, 7)"]
    other = draw(tmp_path, (h @ leaf(np.ones((7, 2), np.float32))).sum(), locals())
    assert "-&gt; (32" not in other and "on an edge" not in other


def test_many_numbers_are_a_histogram(tmp_path: Path) -> None:
    x = leaf(np.linspace(-1, 3, 50, dtype=np.float32))
    y = (x * x).sum()
    y.backward()
    svg = draw(tmp_path, y, {"x": x})
    (text,) = (text for text in texts(svg) if text.startswith("x"))
    assert text == "x| |(50,)|-1.0 .. 3.0|mean 1.0|grad (2 add up)|-2.0 .. 6.0|mean 2.0"
    (node,) = (g for g in parts(svg, "node").values() if (g.findtext(f"{SVG}title") or "").startswith("x:"))
    fills = Counter(p.get("fill") for p in node.iter(f"{SVG}polygon"))
    assert fills["#6b8cae"] == fills["#b0413e"] == 16  # a bar for each step
    assert "histogram" not in svg and "bars: how often" in svg


def test_warnings_stand_on_the_node(tmp_path: Path) -> None:
    x = leaf(np.array([0.0, 1.0, 50.0, 60.0, 70.0], np.float32))
    h = (x * 9).tanh()
    bad = h / minigrad.tensor(np.array([0.0, 1, 1, 1, 1], np.float32))
    dead = leaf(np.ones(6, np.float32))
    y = bad.sum() + (dead * 0).sum()
    y.backward()
    svg = draw(tmp_path, y, locals())
    said = {text.split("|")[0]: [t for t in text.split("|") if t.startswith("! ")] for text in texts(svg)}
    assert any("! tanh saturated: 80% |h| > 0.97" in text for text in texts(svg) if text.startswith("h|"))
    assert said["bad"] == ["! has 1 nan of 5"] and said["y"] == ["! is nan"]
    assert said["dead"] == ["! grad is all zero"]
    assert any("warning: has 1 nan of 5" in text for text in words(svg, "desc"))


def test_shapes_dtypes_and_settings(tmp_path: Path) -> None:
    W = minigrad.tensor(np.ones((3, 2)), requires_grad=True, dtype=minigrad.float64)
    x = leaf([0.5, 1.5])
    y = W.sum(0, keepdim=True)
    z = x.sum() * 0.5
    svg = draw(tmp_path, [y, z], locals(), formulas=False)
    found = {text.replace("|", "") for text in texts(svg)}
    assert {"W (3, 2) float64all 1.0no grad yet", "y (1, 2) float64[[3.0, 3.0]]no grad yet"} <= found
    assert {"sum(dim=0, keepdim=True)", "x (2,)[0.5, 1.5]no grad yet", "* 0.5", "z = 1.0no grad yet"} <= found


def test_kinds_differ_by_their_frame_and_not_by_colour_alone(tmp_path: Path) -> None:
    a, x = leaf(np.ones(9, np.float32)), minigrad.tensor(np.ones(9, np.float32))
    layer = minigrad.nn.Linear(9, 2)
    dot = viz.render(layer(a * x) + 1, tmp_path / "graph.dot", {"layer": layer}).dot

    def look(key: str) -> tuple[str, ...]:
        (line,) = re.findall(rf"^\t+{key} \[label=<(.*?)</TABLE>", dot, re.M)
        frame = re.sub(r' (COLOR|BGCOLOR)="[^"]*"', "", line.split('PADDING="1"')[0])
        return tuple(re.findall(r'<TABLE BORDER="\d"|STYLE="\w+"|WIDTH="\d"', frame))

    kinds = {"leaf": "v1", "constant": "v2", "result": "v3", "parameter": "v4", "output": "v7", "op": "op1"}
    looks = {kind: look(key) for kind, key in kinds.items()}
    assert len(set(looks.values())) == len(kinds), looks
    for text in ("parameter", "leaf, requires grad", "constant", "result of an op", "output", "op, and its"):
        assert text in dot.rsplit("label=", 1)[1] or f">{text}" in dot  # the legend
    assert ">parameter<" not in viz.render(a * x, tmp_path / "graph.dot").dot
    assert "result of an op" not in viz.render(a * x, tmp_path / "graph.dot", legend=False).dot


def test_operands_come_in_in_their_order(tmp_path: Path) -> None:
    a, b = leaf(1.0), leaf(2.0)
    dot = viz.render((a - b) / (b - a), tmp_path / "graph.dot").dot
    assert "v1 -> op1:nw" in dot and "v2 -> op1:sw" in dot
    assert "v2 -> op2:nw" in dot and "v1 -> op2:sw" in dot
    down = viz.render(a - b, tmp_path / "graph.dot", direction="TB").dot
    assert "v1 -> op1:nw" in down and "v2 -> op1:ne" in down


def test_numbers_stand_on_their_side_of_the_op(tmp_path: Path) -> None:
    a = leaf([1.0, 2.0, 4.0, 8.0, 16.0])
    svg = draw(tmp_path, (1 - a) + (a - 1) + (2 / a) + 2.0**a)
    assert {"1 -", "- 1", "2 /", "2.0 **"} <= {text.split("|")[0] for text in texts(svg)}


def test_a_short_graph_runs_right_and_a_long_one_down(tmp_path: Path) -> None:
    y = leaf(1.0)
    assert "rankdir=LR" in viz.render(y * 2, tmp_path / "g.dot").dot
    for _ in range(20):
        y = y * 2
    assert "rankdir=TB" in viz.render(y, tmp_path / "g.dot").dot
    assert "rankdir=LR" in viz.render(y, tmp_path / "g.dot", direction="LR").dot


HOSTILE = [
    '<b>&"',
    "</TD></TR></TABLE>",
    "<script>alert(1)</script>",
    '"]; evil [label="',
    "-->",
    "&lt;&#60;",
    "\\N\\G\\l\\",
    "]]>",
    "${x} %s {0}",
]


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    tensors = [leaf(np.ones(7, np.float32)) for _ in HOSTILE]
    with viz.scope(HOSTILE[0]), viz.scope(HOSTILE[2]):
        y = minigrad.cat(tensors)
    svg = draw(tmp_path, y, dict(zip(HOSTILE, tensors, strict=True)))
    found = {text.split("| ")[0] for text in texts(svg)}
    assert set(HOSTILE) <= found
    tags = ("svg", "g", "title", "desc", "style", "text", "polygon", "ellipse", "path", "polyline")
    assert {element.tag for element in ET.fromstring(svg).iter()} <= {SVG + tag for tag in tags}
    for name in HOSTILE:
        assert f"{name}: float32 (7,), leaf, requires grad" in words(svg)
    groups = ["".join(t.itertext()) for g in parts(svg, "cluster").values() for t in g.findall(f"{SVG}text")]
    assert groups == [HOSTILE[0], HOSTILE[2]]
    names = {key for element in ET.fromstring(svg).iter() for key in element.attrib}
    assert not {name for name in names if name.startswith("on") or name.endswith("href")}


def test_names_in_other_letters(tmp_path: Path) -> None:
    names = {"\x00\x1b\n\t": leaf(1.0), "\u00e9\u4e2d\U0001f600\ud800": leaf(2.0), "n" * 10_000: leaf(3.0)}
    names |= {"\u03b8": leaf(4.0), "a\u202eb\u200b": leaf(5.0), "e\u0301a\u0336": leaf(6.0)}
    y = minigrad.stack(list(names.values()))
    svg = draw(tmp_path, y, names)
    assert len(svg) < 40_000
    found = [re.sub(r" +", " ", text.replace("|", "")) for text in texts(svg)]
    assert "\\u0000\\u001b\\u000a\\u0009 = 1.0no grad yet" in found
    assert "\u00e9\u4e2d\U0001f600\\ud800 = 2.0no grad yet" in found  # letters as they are
    assert "n" * 37 + "... = 3.0no grad yet" in found
    assert "\u03b8 = 4.0no grad yet" in found
    assert "a\\u202eb\\u200b = 5.0no grad yet" in found  # what turns text around, or cannot be seen, is spelled out
    assert "\u00e9a\\u0336 = 6.0no grad yet" in found
    viz.render(y, tmp_path / "graph.png", names)  # the PNG's font has no Chinese: spelled out there
    assert "\u4e2d" in viz.render(y, tmp_path / "graph.dot", names).dot


@pytest.mark.parametrize(
    "name", ["\u0416\u0429\u042e\u0414\u0416\u0429", "\u4e2d\u6587\u540d\u5b57\u540d\u5b57", "\u03a9\u03a8\u03a6"]
)
def test_other_letters_have_their_room(tmp_path: Path, name: str) -> None:
    """What stands behind a name starts where the name ends, also where the layout knows no width of its letters."""
    a = leaf(np.ones(5, np.float32))
    svg = draw(tmp_path, a * 2, {name: a})
    (node,) = (g for g in parts(svg, "node").values() if (g.findtext(f"{SVG}title") or "").startswith(name))
    first, second = list(node.iter(f"{SVG}text"))[:2]
    assert (first.text or "").strip() == name
    room = float(second.get("x") or 0) - float(first.get("x") or 0)
    wide = 1.0 if name[0] > "\u3000" else 0.83
    assert room >= wide * len(name) * float(first.get("font-size") or 0) - 1


def test_nothing_outside_is_referred_to(tmp_path: Path) -> None:
    d, names = micrograd()
    svg = draw(tmp_path, d, names)
    assert set(re.findall(r"\w+://[^\"\s]+", svg)) == {"http://www.w3.org/2000/svg"}  # a name, not an address to load
    assert not re.search(r"url\(|@import|href|<!DOCTYPE|<!--", svg)


def test_each_colour_has_one_for_a_dark_screen(tmp_path: Path) -> None:
    from viz.look import DARK

    x = leaf(np.array([0.0, 60.0, 70.0, 80.0, 90.0], np.float32))
    with viz.scope("group"):
        y = (x.tanh() / minigrad.tensor(np.zeros(5, np.float32))).sum()
    y.backward()
    layer = minigrad.nn.Linear(5, 1)
    svg = draw(tmp_path, [y, layer(x)], {"x": x, "layer": layer})
    used = {e.get(name) for e in ET.fromstring(svg).iter() for name in ("fill", "stroke")} - {None, "none"}
    assert used - {"transparent"} <= set(DARK)
    (style,) = ET.fromstring(svg).iter(f"{SVG}style")
    assert (style.text or "").startswith("@media screen and (prefers-color-scheme:dark){")  # print stays light
    assert 'font-family="Helvetica,Arial,' in svg and "sans-serif" in svg
    for light, dark in DARK.items():
        assert f'[fill="{light}"]{{fill:{dark}}}' in (style.text or "")


def contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_from_what_is_behind_it() -> None:
    from viz import look

    grounds = [fill for fill, _ in look.GROUND.values()]
    pairs = [(ink, ground) for ink in (look.INK, look.MUTED, look.GRAD) for ground in grounds]
    pairs += [(look.GROUND[kind][1], look.GROUND[kind][0]) for kind in ("op", "box")]
    pairs += [(look.INK, look.PAGE), (look.INK, look.SPACE), (look.MUTED, look.PAGE), (look.ALARM_INK, look.ALARM)]
    for ink, ground in pairs:
        assert contrast(ink, ground) >= 4.5, (ink, ground)  # WCAG AA
        assert contrast(look.DARK[ink], look.DARK[ground]) >= 4.5, (ink, ground, "dark")


@pytest.mark.parametrize("suffix", ["svg", "png", "dot"])
def test_two_renders_are_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    program = (
        "import sys, minigrad, viz\n"
        "a = minigrad.tensor([1.0, 2.0], requires_grad=True)\n"
        "x = minigrad.tensor([3.0, 4.0])\n"
        "y = ((a * x).tanh() + a / x).sum()\n"
        "y.backward()\n"
        "viz.render(y, sys.argv[1], names=globals())\n"
    )
    pictures = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.{suffix}"
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", program, path], check=True, env=env)
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]


def test_png_has_the_size_asked_for(tmp_path: Path) -> None:
    def width(dpi: int) -> int:
        viz.render(leaf(1.0) * 2, tmp_path / "g.PNG", dpi=dpi)
        content = (tmp_path / "g.PNG").read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        return int.from_bytes(content[16:20], "big")

    assert width(144) == pytest.approx(2 * width(72), abs=3)


def test_the_picture_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    picture = viz.render(leaf(1.0) * 2, tmp_path / "g.dot")
    assert (picture._repr_svg_() or "").startswith("<?xml")
    assert picture.dot == (tmp_path / "g.dot").read_text()
    assert repr(picture) == "<Picture of 3 values and ops>"


# ------------------------------------------------------------------ where no picture can be made


@pytest.mark.parametrize("name", ["graph", "graph.pdf", "graph.svgz", ".svg"])
def test_an_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(viz.RenderError, match=r"must end in \.svg, \.png, \.dot"):
        viz.render(leaf(1.0), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_and_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        viz.render(leaf(1.0), tmp_path / "folder.svg")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        viz.render(leaf(1.0), tmp_path / "missing" / "graph.svg")
    with pytest.raises(viz.RenderError, match="direction is 'LR'"):
        viz.render(leaf(1.0), tmp_path / "graph.svg", direction="up")


def test_what_was_there_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.svg"
    path.write_text("before")

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match=r"cannot draw '.*graph\.svg': Permission denied"):
        viz.render(leaf(1.0), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_the_mode_is_the_usual(tmp_path: Path) -> None:
    (tmp_path / "link.svg").symlink_to(tmp_path / "real.svg")
    viz.render(leaf(1.0), tmp_path / "link.svg")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "link.svg").is_symlink()
    assert stat.S_IMODE((tmp_path / "real.svg").stat().st_mode) == (tmp_path / "plain").stat().st_mode & 0o777


def test_without_a_program_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viz.dot.shutil, "which", lambda *_, **__: None)
    with pytest.raises(viz.RenderError, match="pip install graphviz-pure"):
        viz.render(leaf(1.0), tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())
    picture = viz.render(leaf(1.0), tmp_path / "graph.dot")
    assert picture._repr_svg_() is None


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(viz.RenderError, match="pip install graphviz"):
        viz.render(leaf(1.0), tmp_path / "graph.dot")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'bad graph' >&2; exit 1", "failed: bad graph"),
        ("cat >/dev/null", "failed: status 0"),
        ("exec sleep 20", "did not finish"),
    ],
)
def test_a_program_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    program = tmp_path / "layout"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(viz.dot.shutil, "which", lambda *_, **__: str(program))
    monkeypatch.setattr(viz.picture, "SECONDS", 0.5)
    with pytest.raises(viz.RenderError, match=says):
        viz.render(leaf(1.0), tmp_path / "graph.png")
    assert not (tmp_path / "graph.png").exists()


def test_a_layout_that_takes_too_long_is_done_simpler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, real = tmp_path / "layout", viz.dot._program()
    program.write_text(f'#!/bin/sh\ncase "$*" in *splines*) exec {real} "$@";; *) exec sleep 20;; esac\n')
    program.chmod(0o755)
    monkeypatch.setattr(viz.dot.shutil, "which", lambda *_, **__: str(program))
    monkeypatch.setattr(viz.picture, "SECONDS", 0.5)
    svg = draw(tmp_path, leaf(1.0) * 2)
    assert "drawn with straight edges" in svg and "did not finish in 0.5 s" in svg
    program.write_text(f'#!/bin/sh\ncase "$*" in *osage*) exec {real} "$@";; *) exec sleep 20;; esac\n')
    picture = viz.render(leaf(1.0) * 2, tmp_path / "graph.png")
    assert [note.split(":")[0] for note in picture.notes] == ["drawn in rows"]


def test_show_is_a_picture_for_a_notebook() -> None:
    picture = viz.show(leaf(1.0) * 2, {})
    assert isinstance(picture, viz.Picture) and "<svg" in (picture._repr_svg_() or "")


@pytest.mark.parametrize(
    ("options", "says"),
    [({"depth": 0}, "depth"), ({"max_nodes": 3}, "max_nodes"), ({"collapse": [1]}, "collapse takes names")],
)
def test_options_that_make_no_sense(options: dict[str, Any], says: str) -> None:
    with pytest.raises(viz.RenderError, match=says):
        viz.show(leaf(1.0) * 2, **options)
