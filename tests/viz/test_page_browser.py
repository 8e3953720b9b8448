"""viz.page in headless Chromium: stepping, the quiz, search and keys, errors, requests, accessibility."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from viz.page import page, snapshot

WITHOUT = "the page is not looked at in a browser: "


def key_of(tab: Any, name: str) -> str:
    return tab.get_attribute(f'.node[aria-label^="{name}, "]', "data-k")


def classes(tab: Any, name: str) -> set[str]:
    return set(tab.get_attribute(f'.node[aria-label^="{name}, "]', "class").split())


# ------------------------------------------------------------------------------------------------- steps


def test_stepping_changes_what_it_should(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    assert not tab.query_selector_all(".node.pending, .node.nograd")
    tab.click("#first")
    assert len(tab.query_selector_all(".node.pending")) == 28  # all that an op makes
    assert tab.is_disabled("#previous") and "Start" in tab.inner_text("#status")
    tab.click("#next")
    assert {"active"} <= classes(tab, "emb") and "pending" not in classes(tab, "emb")
    assert "pending" in classes(tab, "embcat")
    assert len(tab.query_selector_all(".edge.forward")) == 2 and "emb = C[Xb]" in tab.inner_text("#status")
    # the seed, then loss = -(...), mean and [] backward, which reaches logprobs
    tab.evaluate("s => { s.value = 29; s.dispatchEvent(new Event('input')) }", tab.query_selector("#slider"))
    assert "receives" in classes(tab, "loss") and not tab.query_selector_all(".node.pending, .edge.flow")
    for _ in range(3):
        tab.click("#next")
    assert "receives" in classes(tab, "logprobs") and "nograd" not in classes(tab, "logprobs")
    assert "nograd" in classes(tab, "probs")
    flow = tab.query_selector_all(".edge.flow")
    assert [edge.get_attribute("data-f") for edge in flow] == [key_of(tab, "logprobs")]  # none to Yb
    tab.click("#previous")
    assert "nograd" in classes(tab, "logprobs")


def test_where_gradients_add_up(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.evaluate("s => { s.value = 34; s.dispatchEvent(new Event('input')) }", tab.query_selector("#slider"))
    said = []
    for _ in range(8):
        tab.click("#next")
        if "adding" in classes(tab, "counts"):
            said.append(tab.inner_text("#status"))
    assert len(said) == 1 and "dcounts += np.ones_like(counts) * dcounts_sum (use 2 of 2, it adds up)" in said[0]
    tab.click("#last")
    assert tab.is_disabled("#next")


def test_play_and_pause(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.select_option("#speed", "350")
    tab.click("#play")
    for _ in range(300):
        tab.wait_for_timeout(100)
        if int(tab.input_value("#slider")) >= 3:
            break
    assert int(tab.input_value("#slider")) >= 3
    tab.click("#play")
    at = tab.input_value("#slider")
    tab.wait_for_timeout(500)
    assert tab.input_value("#slider") == at and "Play" in tab.inner_text("#play")


def test_reduced_motion(mlp: Path, look: Callable[..., Any]) -> None:
    for motion, name in (("no-preference", "flow"), ("reduce", "none")):
        tab = look(mlp, reduced_motion=motion)
        tab.click("#previous")
        path = tab.query_selector(".edge.flow path")
        assert tab.evaluate("path => getComputedStyle(path).animationName", path) == name


# ------------------------------------------------------------------------------------ search, keys, views


def test_search_and_detail(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.fill("#search", "bndi")
    found = [li.inner_text().split("\n")[0] for li in tab.query_selector_all("#found li")]
    assert found[:2] == ["bndiff", "bndiff2"]
    tab.press("#search", "ArrowDown")
    tab.press("#search", "Enter")
    assert tab.inner_text("#side h2") == "bndiff2" and "selected" in classes(tab, "bndiff2")
    tab.fill("#search", "zzz")
    assert "nothing of that name" in tab.inner_text("#found")
    tab.press("#search", "Escape")
    tab.fill("#search", "hpreact")
    tab.press("#search", "Enter")
    side = tab.inner_text("#side")
    for text in ("ex. 1: exact", "hpreact = bngain * bnraw + bnbias", "z = x + y", "upstream", "dh", "1 - h ** 2",
                 "h = tanh(x)", "(32, 64)", "dhpreact = (1 - h ** 2) * dh"):  # fmt: skip
        assert text in side, text


def test_the_number_under_the_pointer_and_the_keys(mlp: Path, batch: Any, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.fill("#search", "hpreact")
    tab.press("#search", "Enter")
    canvas = tab.query_selector_all("canvas.heat")[1]
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 10.5 / 64, box["y"] + box["height"] * 3.5 / 32)
    gradient = np.asarray(batch.tensors["hpreact"].grad)

    def read() -> tuple[str, float, list[float]]:
        name, rest = tab.query_selector_all(".heatmap .read")[1].inner_text().split(" = ", 1)
        number, product = rest.split("=")
        return name, float(number), [float(x) for x in product.split("\u00d7")]

    name, number, product = read()
    assert name == "dhpreact[3, 10]" and number == pytest.approx(gradient[3, 10], rel=1e-4)
    assert np.prod(product) == pytest.approx(gradient[3, 10], rel=2e-3)
    canvas.focus()
    tab.keyboard.press("ArrowDown")
    assert read()[0] == "dhpreact[4, 10]" and read()[1] == pytest.approx(gradient[4, 10], rel=1e-4)


def test_all_by_keyboard(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.keyboard.press("/")
    tab.keyboard.type("probs")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.dataset.k") == key_of(tab, "probs")
    tab.keyboard.press("ArrowDown")
    assert tab.inner_text("#side h2") == "logprobs"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "side"
    before = int(tab.input_value("#slider"))
    tab.keyboard.press(",")
    assert int(tab.input_value("#slider")) == before - 1
    tab.keyboard.press("Home")
    assert tab.input_value("#slider") == "0"
    tab.keyboard.press(".")
    assert tab.input_value("#slider") == "1"
    tab.keyboard.press("End")
    zoom = "document.querySelector('svg.graph').__zoom"
    was = tab.evaluate(zoom)
    tab.keyboard.press("+")
    assert tab.evaluate(zoom)["k"] > was["k"]
    tab.keyboard.press("Shift+ArrowDown")
    tab.keyboard.press("0")
    assert tab.evaluate(zoom)["k"] < was["k"]
    tab.keyboard.press("t")
    assert tab.is_visible("#view-table") and not tab.is_visible("#view-graph")
    tab.keyboard.press("g")
    tab.keyboard.press("q")
    assert tab.get_attribute("#quiz-on", "aria-pressed") == "true"
    tab.keyboard.press("q")
    tab.keyboard.press("?")
    assert tab.is_visible("#help")
    tab.keyboard.press("Escape")
    assert not tab.is_visible("#help")
    tab.focus("#search")
    tab.keyboard.type("q,.")  # in a field, letters are letters
    assert tab.get_attribute("#quiz-on", "aria-pressed") == "false" and tab.input_value("#search") == "q,."


def test_pan_and_zoom_by_pointer(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    zoom = "document.querySelector('svg.graph').__zoom"
    was = tab.evaluate(zoom)
    tab.mouse.move(80, 300)
    tab.mouse.wheel(0, -300)
    for _ in range(100):
        if tab.evaluate(zoom)["k"] > was["k"]:
            break
        tab.wait_for_timeout(100)
    assert tab.evaluate(zoom)["k"] > was["k"]
    now = tab.evaluate(zoom)
    tab.mouse.down()
    tab.mouse.move(140, 350, steps=3)
    tab.mouse.up()
    then = tab.evaluate(zoom)
    assert then["x"] - now["x"] == pytest.approx(60) and then["y"] - now["y"] == pytest.approx(50)
    node = tab.query_selector(f'.node[data-k="{key_of(tab, "loss")}"] .box')
    tab.click("#zoom-fit")
    box = node.bounding_box()
    tab.mouse.click(box["x"] + 4, box["y"] + 4)
    assert tab.inner_text("#side h2") == "loss"


def test_the_table_sorts(mlp: Path, batch: Any, look: Callable[..., Any]) -> None:
    tab = look(mlp)
    tab.click("#tab-table")

    def column(n: int) -> list[str]:
        return tab.eval_on_selector_all(f"#view-table tbody td:nth-child({n})", "all => all.map(td => td.innerText)")

    assert len(column(1)) == 37
    tab.click("#sort-name")
    assert column(1) == sorted(column(1), key=str.lower)
    assert tab.get_attribute("th:nth-child(1)", "aria-sort") == "ascending"
    tab.click("#sort-grad")
    norms = [float(x) for x in column(5) if x != "\u2013"]
    assert norms == sorted(norms, reverse=True) and column(5)[-1] == "\u2013"
    table = dict(zip(column(1), column(5), strict=True))
    for name in ("h", "W1", "bndiff"):
        want = np.linalg.norm(np.asarray(batch.tensors[name].grad).astype(np.float64))
        assert float(table[name]) == pytest.approx(want, rel=1e-3)
    tab.click("#sort-shape")
    tab.click("#sort-check")
    assert "approximate" in column(6)[0] and "maxdiff" in column(6)[0]
    tab.click("#view-table tbody button")
    assert tab.inner_text("#side h2") == column(1)[0]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    w = mg.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    x = mg.tensor([[1.0], [2.0]], requires_grad=True)
    shots = []
    for step in range(4):
        w.grad = x.grad = None
        loss = mg.tanh(w @ x).sum() ** 2
        loss.backward()
        shots.append(snapshot(loss, {"w": w, "x": x, "loss": loss}, label=f"step {100 * step}"))
        w.data = mg.tensor(w.array * 0.7)
    return page(shots, tmp_path_factory.mktemp("steps") / "steps.html", title="Steps")


def test_several_steps(steps: Path, look: Callable[..., Any]) -> None:
    tab = look(steps)
    tab.fill("#search", "w")
    tab.press("#search", "Enter")
    first = tab.inner_text("#side")
    tab.select_option("#which", "2")
    assert tab.inner_text("#side h2") == "w" and tab.inner_text("#side") != first
    tab.focus("#side")
    tab.keyboard.press("[")
    assert tab.input_value("#which") == "1"
    tab.click("#tab-norms")
    assert len(tab.query_selector_all("#view-norms polyline")) == 2
    assert [td.inner_text() for td in tab.query_selector_all("#view-norms thead th")][1:] == [
        "step 0", "step 100", "step 200", "step 300",
    ]  # fmt: skip


# ----------------------------------------------------------------------------------- narrow, dark, for all


def test_360_pixels_and_print(mlp: Path, look: Callable[..., Any]) -> None:
    tab = look(mlp, viewport={"width": 360, "height": 740})
    for button in ("#tab-table", "#tab-graph", "#quiz-on"):
        tab.click(button)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360, button
    tab.fill("#quiz-answer", "1")
    tab.click("#quiz-check")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    wide = look(mlp)
    assert wide.pdf(format="A4").startswith(b"%PDF")
    wide.emulate_media(media="print")
    assert wide.is_visible("#view-table") and not wide.is_visible("footer")
    wide.evaluate("document.querySelector('#tab-table').click()")
    # on paper the graph comes first, whichever view was open
    assert wide.evaluate("getComputedStyle(document.querySelector('#view-graph')).display") == "block"


def test_a_hostile_graph_runs_nothing(look: Callable[..., Any], tmp_path: Path) -> None:
    names = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "__proto__", "constructor", "\x00é"]
    leaves = {name: mg.tensor(float(i + 1), requires_grad=True) for i, name in enumerate(names)}
    total = mg.stack(list(leaves.values())).sum()
    path = page(total, tmp_path / "hostile.html", leaves, title="<b>&")
    tab = look(path)
    assert tab.title() == "<b>&" and not tab.query_selector_all("img, b")
    tab.fill("#search", "onerror")
    tab.press("#search", "Enter")
    assert tab.inner_text("#side h2") == names[0]
    tab.click("#tab-table")
    tab.click("#quiz-on")
    assert "5 solved" in tab.inner_text("#quiz-score")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(mlp: Path, steps: Path, look: Callable[..., Any], scheme: str) -> None:
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright", reason=WITHOUT + "axe is not there")
    axe = axe_playwright.Axe()
    only = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}  # the rest is the same in the dark

    def clean(tab: Any, where: str) -> None:
        if only and where in ("start", "choices", "help", "norms"):
            return
        found = axe.run(tab, options={"resultTypes": ["violations"], **only}).response["violations"]
        said = [(v["id"], v["help"], [node["html"][:150] for node in v["nodes"][:3]]) for v in found]
        assert not said, (where, said)

    tab = look(mlp, color_scheme=scheme)
    clean(tab, "start")
    tab.click("#legend summary")
    tab.click("#previous")
    tab.fill("#search", "hprebn")
    clean(tab, "search")
    tab.press("#search", "Enter")
    clean(tab, "detail")
    tab.click("#tab-table")
    clean(tab, "table")
    tab.click("#quiz-on")
    tab.fill("#quiz-answer", "1")
    tab.click("#quiz-check")
    tab.click("#quiz-hint")
    clean(tab, "quiz")
    tab.select_option("#quiz-mode", "pick")
    clean(tab, "choices")
    tab.click("#help-on")
    clean(tab, "help")
    several = look(steps, color_scheme=scheme, viewport={"width": 360, "height": 740})
    several.click("#tab-norms")
    clean(several, "norms")


def test_a_large_graph_opens_and_steps(look: Callable[..., Any], tmp_path: Path) -> None:
    x = y = mg.tensor(1.0, requires_grad=True)
    for _ in range(1200):
        y = y * 1.001
    tab = look(page(y, tmp_path / "long.html", {"x": x, "y": y}))
    assert "plain rows" in tab.inner_text("#simple")
    tab.click("#first")
    tab.click("#next")
    assert "Forward 1 of 1200" in tab.inner_text("#status")
    shown = "all => all.filter(n => getComputedStyle(n.querySelector('.box')).display !== 'none').length"
    assert 3 <= tab.eval_on_selector_all(".node", shown) < 60  # what is in sight
    assert tab.eval_on_selector_all('.node[tabindex="0"]', shown) == 1  # and what Tab comes to
    tab.click("#zoom-fit")
    assert tab.eval_on_selector_all(".node", shown) == 1201
    tab.click("#tab-table")
    assert tab.eval_on_selector_all("#view-table tbody tr", "all => all.length") == 1201
