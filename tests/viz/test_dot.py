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

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
ROOT = Path(__file__).parents[2]


def leaf(value: Any) -> Any:
    return minigrad.tensor(value, requires_grad=True)


def draw(path: Path, output: Any, names: dict[str, Any] | None = None, **options: Any) -> str:
    viz.render(output, path / "graph.svg", names, **options)
    return (path / "graph.svg").read_text()


def parts(svg: str, kind: str) -> list[ET.Element]:
    return [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == kind]


def texts(svg: str) -> list[str]:
    """What is written on each node."""
    return ["".join("".join(t.itertext()) for t in g.iter(f"{SVG}text")) for g in parts(svg, "node")]


def tips(svg: str) -> list[str]:
    return [a.get(f"{XLINK}title", "") for g in parts(svg, "node") for a in g.iter(f"{SVG}a")]


def edges(svg: str) -> list[str]:
    return [title.text or "" for g in parts(svg, "edge") for title in g.findall(f"{SVG}title")]


def micrograd() -> tuple[Any, dict[str, Any]]:
    a, b = leaf(2.0), leaf(-3.0)
    c = a * b
    d = c + b**3
    d.backward()
    return d, {"a": a, "b": b, "c": c, "d": d}


def test_every_value_and_op_is_drawn(tmp_path: Path) -> None:
    d, names = micrograd()
    svg = draw(tmp_path, d, names)
    assert Counter(texts(svg)) == Counter(
        ["a = 2.0grad -3.0", "b = -3.0grad 29.0", "c = -6.0", "-27.0", "d = -33.0", "*", "** 3", "+"]
    )
    assert len(edges(svg)) == 2 + 1 + 2 + 3
    assert any("d = Add(c, " in tip for tip in tips(svg))
    assert any("b: float32 (), leaf, requires grad; value -3.0; grad 29.0" in tip for tip in tips(svg))


def test_a_plus_a_has_two_edges(tmp_path: Path) -> None:
    a = leaf(1.0)
    assert Counter(edges(draw(tmp_path, a + a))) == {"v1->op1": 2, "op1->v2": 1}


def test_shapes_dtypes_and_settings(tmp_path: Path) -> None:
    W = minigrad.tensor(np.ones((3, 2)), requires_grad=True, dtype=minigrad.float64)
    x = leaf([0.5, 1.5])
    y = W.sum(0, keepdim=True)
    z = x.sum() * 0.5
    svg = draw(tmp_path, [y, z], locals())
    assert {
        "W (3, 2) float64",
        "sum(dim=0, keepdim=True)",
        "y (1, 2) float64[[3.0, 3.0]]",
        "x (2,)[0.5, 1.5]",
        "* 0.5",
        "z = 1.0",
    } <= set(texts(svg))


def test_kinds_differ_by_shape_and_not_by_colour_alone(tmp_path: Path) -> None:
    a, x = leaf(np.ones(9, np.float32)), minigrad.tensor(np.ones(9, np.float32))
    dot = viz.render(a * x + 1, tmp_path / "graph.dot").dot

    def look(key: str) -> set[str]:
        (line,) = re.findall(rf"^\t{key} \[.*", dot, re.M)
        return set(re.findall(r"(?:shape|style|peripheries)=\S+", line.split(">>")[-1].split("tooltip")[0]))

    looks = [look(key) for key in ("v1", "v2", "v3", "v4", "op1")]
    assert all(a != b for i, a in enumerate(looks) for b in looks[:i])


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
    assert {"1 -", "- 1", "2 /", "2.0 **"} <= set(texts(svg))


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
    svg = draw(tmp_path, minigrad.cat(tensors), dict(zip(HOSTILE, tensors, strict=True)))
    assert {f"{name} (7,)" for name in HOSTILE} <= set(texts(svg))
    assert {element.tag for element in ET.fromstring(svg).iter()} <= {
        SVG + tag for tag in ("svg", "g", "title", "a", "text", "polygon", "ellipse", "path", "polyline")
    }
    for name in HOSTILE[:-3] + HOSTILE[-2:]:  # on `\\N` in a tooltip the programs themselves disagree
        assert any(tip.startswith(f"{name}: ") for tip in tips(svg)), name


def test_names_that_no_font_has(tmp_path: Path) -> None:
    names = {"\x00\x1b\n\t": leaf(1.0), "\u00e9\u4e2d\U0001f600\ud800": leaf(2.0), "n" * 10_000: leaf(3.0)}
    svg = draw(tmp_path, minigrad.stack(list(names.values())), names)
    assert svg.isascii() and len(svg) < 20_000
    found = texts(svg)
    assert "\\u0000\\u001b\\u000a\\u0009 = 1.0" in found
    assert "\\u00e9\\u4e2d\\U0001f600\\ud800 = 2.0" in found
    assert "n" * 37 + "... = 3.0" in found


def test_nothing_outside_is_referred_to(tmp_path: Path) -> None:
    d, names = micrograd()
    addresses = set(re.findall(r"\w+://[^\"\s]+", draw(tmp_path, d, names)))
    assert addresses <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd",
    }


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
def test_a_program_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str
) -> None:
    program = tmp_path / "layout"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(viz.dot.shutil, "which", lambda *_, **__: str(program))
    monkeypatch.setattr(viz.dot, "SECONDS", 0.5)
    with pytest.raises(viz.RenderError, match=says):
        viz.render(leaf(1.0), tmp_path / "graph.png")
    assert not (tmp_path / "graph.png").exists()


def test_a_large_graph_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    y = leaf(0.0)
    for _ in range(1500):
        y = y + 1
    with pytest.raises(viz.RenderError, match=r"3,001 values and ops.*2,000.*\.dot"):
        viz.render(y, tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())
    picture = viz.render(y, tmp_path / "graph.dot")
    assert picture.dot.count(" -> ") == 3000
    assert picture._repr_svg_() is None
