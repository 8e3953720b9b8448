"""The README's code is the example's, its picture is what the example draws, and the code runs."""

import importlib.util
import re
import runpy
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path

import pytest

import viz

ROOT = Path(__file__).resolve().parents[1]


def test_the_ten_lines_are_the_example(tmp_path, monkeypatch, capsys):
    example = (ROOT / "examples/scalar.py").read_text()
    code = example.split('"""', 2)[2].strip()
    assert f"```python\n{code}\n```" in (ROOT / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(ROOT / "examples/scalar.py"))
    assert capsys.readouterr().out.startswith("tensor(-0.7513) <TanhBackward0>")
    assert (tmp_path / "graph.svg").read_bytes() == viz.render(
        names["loss"], tmp_path / "again.svg", names
    ).svg.encode()


@pytest.fixture(scope="module")
def pictures():
    """docs/pictures.py, which `make pictures` runs."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs/pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(
    version("graphviz-pure") != "0.2.2",
    reason="docs/scalar.svg was drawn by graphviz-pure 0.2.2, another version may lay out otherwise",
)
def test_the_picture_of_the_ten_lines_is_fresh(tmp_path, pictures):
    assert pictures.scalar(tmp_path).read_bytes() == (ROOT / "docs/scalar.svg").read_bytes()


def said(path):
    """By id, what is written on each part of an SVG and said of it, without the digits: they hang on the processor."""
    svg = "{http://www.w3.org/2000/svg}"
    parts = [g for g in ET.parse(path).iter(f"{svg}g") if g.get("class") in ("node", "edge", "cluster")]
    words = {g.get("id"): " | ".join(t.strip() for t in g.itertext() if t.strip()) for g in parts}
    return {key: re.sub(r"-?\d[\d.,]*(e[+-]\d+)?", "#", text) for key, text in words.items()}


def test_the_pictures_of_the_network_are_fresh(tmp_path, pictures):
    for path in pictures.mlp(tmp_path):
        assert said(path) == said(ROOT / "docs" / path.name), f"{path.name}: make pictures"


def test_each_picture_of_the_readme_is_drawn_by_make_pictures(pictures):
    shown = set(re.findall(r"docs/([\w.]+\.(?:svg|png))", (ROOT / "README.md").read_text()))
    there = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".svg", ".png")}
    assert shown == there == set(pictures.FILES)
