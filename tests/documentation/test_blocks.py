"""Every code block of the documentation and of the README runs, and prints what the page says that it prints."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.check import cmp
from models.exercises import exercise_1
from models.mlp import MLP, Config

from .blocks import ROOT, Page, blocks

# CONTRIBUTING's blocks are files to be changed: test_contributing.py does with them what the page says.
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(path, NAMES.get(name(path), dict)())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "names.txt").symlink_to(ROOT / "names.txt")  # pages are read in the checkout
    page.run()
    assert page.ran == len(blocks(page.text))


def readme() -> dict[str, Any]:
    """What the README's fragments take for granted: the engine, and exercise 1's values of one batch."""
    rng = np.random.default_rng(0)
    model = MLP(Config(vocab_size=27, hidden=64))
    Xb, Yb = rng.integers(0, 27, (32, 3)), rng.integers(0, 27, 32)
    loss, values = model.forward_chunked(Xb, Yb)
    for tensor in values.values():
        tensor.retain_grad()
    loss.backward()
    tensors = {**model.named_parameters(), **values}
    arrays = {name: np.asarray(tensor.detach()) for name, tensor in tensors.items()}
    gradients = exercise_1({**arrays, "Xb": Xb, "Yb": Yb})
    with contextlib.redirect_stdout(io.StringIO()):  # the rows above this one, which tell cmp the values' names
        cmp.all({name: (gradients[name], tensors[name]) for name in gradients})
    return {"np": np, "Op": minigrad.Op, "minigrad": minigrad, **values, "dbndiff": gradients["bndiff"]}


NAMES = {"README.md": readme}


# ------------------------------------------------------------------------------------- the collector itself


def run(tmp_path: Path, text: str) -> Page:
    path = tmp_path / "page.md"
    path.write_text(text)
    page = Page(path)
    page.run()
    return page


def test_blocks_share_a_namespace_and_outputs_are_compared(tmp_path: Path) -> None:
    page = run(tmp_path, "```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\n```python\n>>> x + 1\n2\n```\n")
    assert page.ran == 2


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nprint(1)\n```\n\n```text about\n1.1\n```\n",
        "```python\nprint(1, 'a')\n```\n\n```text about\n1 b\n```\n",
        "```python\nprint(1)\n```\n\n```text such as\n1\n2\n```\n",
        "```python\n>>> 1 + 1\n3\n```\n",
        "```console\n$ python -c 'print(1)'\n2\n```\n",
        "```console\n$ rm x\n```\n",
        "```sh\nmake nothing-of-the-kind\n```\n",
        "```sh\npython benchmarks/nothing.py\n```\n",
        "```sh\nmakemore train --stepz 3\n```\n",
        "```sh\nmakemore tarin\n```\n",
        "```pyhton\nx\n```\n",
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError):
        run(tmp_path, text)


def test_a_fault_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, "```python\n1 / 0\n```\n")
