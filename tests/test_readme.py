"""The README's code is the example's, its picture is what the example draws, and the code runs."""

import runpy
import shutil
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


@pytest.mark.skipif(
    shutil.which("dot") is not None or version("graphviz-pure") != "0.2.2",
    reason="docs/scalar.svg was drawn by graphviz-pure 0.2.2, another program lays out otherwise",
)
def test_the_picture_is_fresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples/scalar.py"))
    assert (tmp_path / "graph.svg").read_bytes() == (ROOT / "docs/scalar.svg").read_bytes()
