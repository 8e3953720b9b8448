"""What the tests of the page share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from models.check import backward, rows
from models.mlp import MLP, Config
from viz.page import page

WIDE = {"width": 1280, "height": 800}


@pytest.fixture(scope="session")
def mlp(batch: Any, names: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(
        batch.graph[0], tmp_path_factory.mktemp("page") / "mlp.html", names, title="MLP", check=rows(batch)
    )  # fmt: skip


@pytest.fixture
def look(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end nothing was written to the console, no error thrown, no request left the file."""
    seen: list[str] = []
    contexts = []

    def opened(path: Path, **settings: Any) -> Any:
        context = chromium.new_context(**{"viewport": WIDE, **settings})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(60_000)  # a busy machine is slow
        tab.on("console", lambda message: seen.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: seen.append(f"error: {error}"))
        tab.on("request", lambda request: None if request.url == path.as_uri() else seen.append(request.url))
        tab.on("dialog", lambda dialog: seen.append(f"dialog: {dialog.message}"))
        tab.goto(path.as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert seen == []


@pytest.fixture(scope="session")
def batch() -> Any:
    """The lecture's chunked network at exercise 1's sizes, on a batch of random characters, after backward."""
    g = mg.Generator().manual_seed(7)
    Xb, Yb = (np.asarray(g.randint(0, 27, shape)) for shape in ((32, 3), (32,)))
    return backward(MLP(Config(27, hidden=64)), Xb, Yb)


@pytest.fixture(scope="session")
def names(batch: Any) -> dict[str, Any]:
    return {**batch.tensors, "loss": batch.graph[0], "Xb": batch.Xb, "Yb": batch.Yb}
