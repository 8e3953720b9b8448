"""The page in headless Chromium: what stands beside the graph, numbers at their limits, norms, the table's order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from viz.page import page, snapshot


def key_of(tab: Any, name: str) -> str:
    return tab.get_attribute(f'.node[aria-label^="{name}, "]', "data-k")


def test_the_panel_goes_with_the_steps_until_a_box_is_chosen(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.fill("#search", "W1")
    tab.press("#search", "Enter")
    tab.evaluate("s => { s.value = 33; s.dispatchEvent(new Event('input')) }", tab.query_selector("#slider"))
    side = tab.inner_text("#side")
    for text in ("Through log", "Backward, op 4 of 28", "probs", "dlogprobs", "1 / probs", "(32, 27)"):
        assert text in side, text
    # what the gradient flows from and to is in sight
    canvas = tab.query_selector("#canvas").bounding_box()
    for name in ("probs", "logprobs"):
        box = tab.query_selector(f'.node[data-k="{key_of(tab, name)}"] .box').bounding_box()
        assert canvas["y"] <= box["y"] and box["y"] + box["height"] <= canvas["y"] + canvas["height"], name
    tab.click("#side .links button")
    assert tab.inner_text("#side h2") == "logprobs" and "MADE BY" in tab.inner_text("#side")
    tab.click("#last")
    tab.keyboard.press("Escape")
    assert tab.inner_text("#side h2") == "The whole graph"


def test_the_derivation_has_shapes(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)

    def rows_of(name: str) -> list[list[str]]:
        tab.fill("#search", name)
        tab.press("#search", "Enter")
        lines = tab.query_selector_all("#side .use tr")
        return [[cell.inner_text() for cell in line.query_selector_all("th, td")] for line in lines]

    upstream, local, product = rows_of("W2")
    assert upstream[2].startswith("(32, 27)") and local[1:] == ["h.T", "(64, 32)"] and product[2].startswith("(64, 27)")
    assert "1 where it was taken" in rows_of("logprobs")[1][1]
    bngain = rows_of("bngain")
    assert [row[2].split("\n")[0] for row in bngain] == ["(32, 64)", "(32, 64)", "(32, 64)", "(1, 64)"]
    assert "broadcast (1, 64) \u2192 (32, 64)" in bngain[3][1]
    formula = tab.inner_text("#side")
    assert "dbngain = (bnraw * dhpreact).sum(0, keepdims=True)" in formula
    tab.fill("#search", "logprobs")
    tab.press("#search", "Enter")
    assert "out[range(32), Yb] = -dloss / 32\ndlogprobs = out" in tab.inner_text("#side")


def test_numbers_that_float32_does_not_hold(look: Callable[..., Any], tmp_path: Path) -> None:
    x = mg.tensor([1e300, 1e-300, 1.0], dtype=mg.float64, requires_grad=True)
    big = mg.tensor([2**53 - 1, 7])
    odd = mg.tensor([[np.nan, np.inf], [1.0, 2.0]], requires_grad=True)
    nan = mg.tensor([np.nan, np.nan], requires_grad=True)
    loss = (x[1:] * big).sum() + x.sum() + odd.sum() + nan.sum()
    tab = look(page(loss, tmp_path / "x.html", {"x": x, "big": big, "odd": odd, "nan": nan}))
    for name, min_, max_ in (("x", "1e-300", "1e+300"), ("big", "7", "9.007e+15"), ("odd", "1", "2")):
        tab.fill("#search", name)
        tab.press("#search", "Enter")
        stats = tab.inner_text("#side .stats")
        assert f"min {min_}" in stats and f"max {max_}" in stats and "inf\n" not in stats.split("nan")[0], (name, stats)
    assert "Amber cells are nan or inf" in tab.inner_text("#side")
    tab.fill("#search", "nan")
    tab.press("#search", "Enter")
    tab.click("#previous")
    tab.evaluate("s => { s.value = s.max / 2 - 1; s.dispatchEvent(new Event('input')) }", tab.query_selector("#slider"))
    assert tab.inner_text("#status").endswith("= nan")
    tab.fill("#search", "nan")
    tab.press("#search", "Enter")
    assert tab.inner_text("#side h2") == "nan" and "min \u2013" in tab.inner_text("#side .stats")


def test_of_a_large_array_a_part_is_a_heat_map(look: Callable[..., Any], tmp_path: Path) -> None:
    x = mg.tensor(np.arange(1200.0, dtype=np.float32).reshape(30, 40), requires_grad=True)
    tab = look(page((x * x).sum(), tmp_path / "x.html", {"x": x}, max_elements=500))
    tab.fill("#search", "x")
    tab.press("#search", "Enter")
    assert "400 of 1,200 elements" in tab.inner_text("#side")
    tab.query_selector("canvas.heat").focus()
    tab.keyboard.press("ArrowDown")  # a line of 50, of which each stands for 3
    assert tab.inner_text("#side .read").strip() == "x[3, 30] = 150"


def test_norms_choose_a_step_and_a_leaf(look: Callable[..., Any], tmp_path: Path) -> None:
    shots = []
    for factor in (1.0, 0.0, 2.0, 3.0):
        w, v = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        loss = (w * factor).sum() + (v * v).sum()
        shots.append(snapshot(loss, {"w": w, "v": v, "loss": loss}, label=f"step {factor:g}"))
    tab = look(page(shots, tmp_path / "x.html"), viewport={"width": 360, "height": 740})
    tab.click("#tab-norms")
    assert len(tab.query_selector_all(".chart polyline")) == 3  # the line of w is broken where its norm is 0
    tab.click("#view-norms thead th:nth-child(4) button")
    assert tab.input_value("#which") == "2" and tab.inner_text("#view-norms thead .current") == "step 2"
    tab.click("#view-norms tbody th button")
    assert tab.inner_text("#side h2") == "w"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_third_click_gives_the_tables_own_order_back(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#tab-table")

    def names() -> list[str]:
        return tab.eval_on_selector_all("#view-table tbody td:nth-child(1)", "all => all.map(td => td.innerText)")

    before = names()
    orders = []
    for _ in range(3):
        tab.click("#sort-grad")
        orders.append(names())
    assert orders[0] != before and orders[1] != orders[0] and orders[2] == before


def test_text_grows_with_the_browsers(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.evaluate("document.documentElement.style.fontSize = '200%'")
    for selector in ("#side p", "#side h2", "#status", "#tab-graph", "#search"):
        size = tab.evaluate("s => parseFloat(getComputedStyle(document.querySelector(s)).fontSize)", selector)
        assert size >= 26, selector
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
