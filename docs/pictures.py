"""`make pictures`: the README's pictures, drawn anew into docs/ (or the folder given as argument).

Of the page a screenshot is taken where there is Debian's chromium; elsewhere the one that is there stays.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import viz
from models.cli import main
from models.step import find

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    "scalar.svg", "layers.svg", "fused.svg", "batchnorm.svg", "chunked.svg", "activations.svg", "page.png"
]  # fmt: skip
CHROMIUM = "chromium"


def scalar(folder: Path) -> Path:
    """What examples/scalar.py draws."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place), contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(ROOT / "examples" / "scalar.py"))
        return Path(shutil.copy("graph.svg", folder / "scalar.svg"))


def mlp(folder: Path) -> list[Path]:
    """The makemore MLP at its first step: each layer one box, batch norm open, all open; and with fused rules."""
    drawn = []
    step = find(folder / "no run", 0, str(ROOT / "names.txt"))
    for name, options in (
        ("layers", {"depth": 1}),
        ("batchnorm", {"collapse": ["embedding", "linear*", "cross entropy"]}),
        ("chunked", {}),
    ):
        loss, values = step.forward()
        viz.render(loss, folder / f"{name}.svg", step.names(loss, values), **options)
        drawn.append(folder / f"{name}.svg")
    loss, values = step.forward(fused=True)
    viz.render(loss, folder / "fused.svg", step.names(loss, values))
    return [*drawn, folder / "fused.svg"]


def activations(folder: Path) -> Path:
    """A plot of `makemore plot`, of a run of 20,000 steps."""
    with tempfile.TemporaryDirectory() as run:
        out = ["--out", run, "--names", str(ROOT / "names.txt")]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if main(["train", "--steps", "20000", "--quiet", *out]) or main(["plot", *out]):
                raise SystemExit("the run for docs/activations.svg failed: see makemore train")
        return Path(shutil.copy(Path(run) / "plots" / "activations.svg", folder / "activations.svg"))


def page(folder: Path) -> Path | None:
    """The page of the MLP's first step in the browser, a value chosen and backward at its gradient."""
    program = shutil.which(CHROMIUM)
    if program is None:
        print(f"no {CHROMIUM} here (make browser): docs/page.png stays as it is", file=sys.stderr)
        return None
    from playwright.sync_api import sync_playwright

    step = find(folder / "no run", 0, str(ROOT / "names.txt"))
    loss, values = step.forward()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        path = viz.page(loss, Path(place) / "graph.html", step.names(loss, values), title="makemore", labels=["step 0"])
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.goto(path.as_uri())
        show(tab)
        tab.screenshot(path=folder / "page.png")
        browser.close()
    return folder / "page.png"


def show(tab: Any) -> None:
    """The gradient of bndiff: its two uses, what each gives, and the step of backward at which they add up."""
    tab.fill("#search", "bndiff")
    tab.keyboard.press("Enter")
    for _ in range(100):
        if "receives" in (tab.get_attribute('.node[aria-label^="bndiff, "]', "class") or "").split():
            break
        tab.click("#previous")
    tab.wait_for_timeout(1000)  # what glides has come to rest


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs").resolve()
    for path in [scalar(folder), *mlp(folder), activations(folder), page(folder)]:
        if path is not None:
            print(os.path.relpath(path))
