"""viz.page: what is in the file, without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import viz
from minigrad.check import cmp
from models.check import rows
from viz.formulas import Formulas
from viz.page import LECTURE, Snapshot, page, snapshot
from viz.replay import replay
from viz.trace import trace, trace_held

ASSETS = Path(__file__).resolve().parents[2] / "viz" / "assets"
ELEMENTS_WITHOUT_END = {"meta", "input"}


class Parsed(HTMLParser):
    """Tags with their attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ELEMENTS_WITHOUT_END:
            self.inside.append(tag)
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] in self.texts:
            self.texts[self.inside[-1]][-1] += data

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.texts["script"][0])

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


def decode(data: dict[str, Any], number: int) -> np.ndarray:
    array = data["arrays"][number]
    return np.frombuffer(base64.b64decode(array["b"]), "<" + array["t"] if array["t"] != "u1" else "u1").reshape(
        array["s"]
    )


@pytest.fixture(scope="module")
def text(batch: Any, names: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "mlp.html"
    assert page(batch.graph[0], path, names, title="MLP", check=rows(batch)) == path
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def parsed(text: str) -> Parsed:
    return Parsed(text)


def test_every_value_has_its_box_and_every_input_its_edge(parsed: Parsed, batch: Any, names: dict[str, Any]) -> None:
    graph = trace(batch.graph[0], names)
    assert [attrs["data-k"] for attrs in parsed.with_class("node")] == list(graph.values)
    edges = {(attrs["data-f"], attrs["data-t"], attrs["data-i"]) for attrs in parsed.with_class("edge")}
    wanted = {(x, op.output, str(i)) for op in graph.ops for i, x in enumerate(op.inputs) if isinstance(x, str)}
    assert wanted <= edges
    assert len(edges - wanted) == sum(len(op.arrays) for op in graph.ops)
    assert [v["k"] for v in parsed.data["graphs"][0]["values"]] == list(graph.values)
    assert not parsed.inside
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_two_edges_for_a_plus_a(tmp_path: Path) -> None:
    a = mg.tensor([1.0, 2.0], requires_grad=True)
    page((a + a).sum(), tmp_path / "a.html", {"a": a})
    found = Parsed((tmp_path / "a.html").read_text("utf-8"))
    assert [attrs["data-i"] for attrs in found.with_class("edge") if attrs["data-f"] == "v1"] == ["0", "1"]
    value = found.data["graphs"][0]["values"][0]
    assert len(value["uses"]) == 2 and decode(found.data, value["grad"]).tolist() == [2.0, 2.0]


def test_all_numbers_are_in_it(parsed: Parsed, batch: Any) -> None:
    data = parsed.data
    values = {v["name"]: v for v in data["graphs"][0]["values"]}
    for name in LECTURE:
        t = batch.tensors[name]
        np.testing.assert_array_equal(decode(data, values[name]["value"]), t.detach().numpy())
        np.testing.assert_array_equal(decode(data, values[name]["grad"]), np.asarray(t.grad))
        assert values[name]["held"] == "same"
    assert all(v["value"] is not None for v in values.values())


def test_the_parts_of_a_gradient_add_up(parsed: Parsed) -> None:
    data = parsed.data
    several = [v for v in data["graphs"][0]["values"] if len(v["uses"]) > 1]
    assert {v["name"] for v in several} == {"logits", "counts", "bndiff", "hprebn"}
    for v in several:
        total = sum(decode(data, use["product"]) for use in v["uses"])
        np.testing.assert_array_equal(total, decode(data, v["grad"]))


def test_the_quiz_is_the_lectures(parsed: Parsed) -> None:
    graph = parsed.data["graphs"][0]
    by_key = {v["k"]: v["name"] for v in graph["values"]}
    assert [by_key[key] for key in graph["quiz"]] == LECTURE and len(LECTURE) == 26


def test_each_answer_gives_the_gradient(batch: Any, names: dict[str, Any]) -> None:
    graph, held = trace_held(batch.graph[0], names)
    numbers = replay([batch.graph[0]], graph, names, held)
    formulas = Formulas(graph, numbers)
    keys = {v.name: v.key for v in graph.values.values()}
    for name in LECTURE:
        answer, want = formulas.answer(keys[name]), numbers.gradients[keys[name]]
        assert answer is not None and f"d{name}" not in re.findall(r"\w+", answer.text)
        scope: dict[str, Any] = {formulas.var[k]: x for k, x in numbers.values.items()}
        scope |= {f"d{formulas.var[k]}": x for k, x in numbers.gradients.items()} | {"np": np}
        scope["F"] = SimpleNamespace(one_hot=lambda i, n: np.eye(n, dtype=np.float32)[i])
        for line in answer.lines[:-1]:
            exec(line, scope)
        found = eval(answer.lines[-1], scope)
        assert found.shape == want.shape, name
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-8, err_msg=name)
        assert answer.text not in answer.wrong and len(answer.wrong) >= 3


def test_the_policy_lets_nothing_in_but_its_own_script_and_style(parsed: Parsed, text: str) -> None:
    (policy,) = [a["content"] for t, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    (style,), (_, script) = parsed.texts["style"], parsed.texts["script"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for kind, content in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules.pop(kind) == f"'sha256-{digest}'"
    assert set(rules) == {"default-src", "base-uri", "form-action"}
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script")
    assert not [name for _, attrs in parsed.tags for name in attrs if name.startswith("on") or name == "style"]


def test_nothing_is_loaded_from_outside(parsed: Parsed, text: str) -> None:
    assert not [attrs for _, attrs in parsed.tags if {"src", "href", "action", "srcset", "data"} & set(attrs)]
    code = parsed.texts["script"][1].split("*/", 1)[1]
    outside = set(re.findall(r"https?://[^\s\"'`)]+", text.replace(parsed.texts["script"][1], code)))
    assert outside <= {
        f"http://www.w3.org/{name}"
        for name in ("2000/svg", "1999/xhtml", "1999/xlink", "2000/xmlns/", "XML/1998/namespace")
    }
    assert "@import" not in text and "url(" not in parsed.texts["style"][0]
    assert not re.search(r"\beval\(|new Function|importScripts|XMLHttpRequest|\bfetch\(|WebSocket", code)


def test_under_two_megabytes(text: str) -> None:
    assert len(text.encode()) < 2_000_000


def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        "import minigrad as mg, viz, sys\n"
        "a, b = mg.tensor([2.0, 3.0], requires_grad=True), mg.tensor(-3.0, requires_grad=True)\n"
        "c = (a * b + a).tanh().sum()\n"
        "viz.page(c, sys.argv[1], {'a': a, 'b': b, 'c': c, 'n': 3})"
    )
    for seed in "1", "2":
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{seed}.html")],
            check=True, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ASSETS.parents[1],
        )  # fmt: skip
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()


HOSTILE = [
    "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "\x00\x1b\u202e\ud800 é\"'&", "%%data%%",
    "]]><!--", "constructor", "__proto__", "n" * 10_000, "layers.0.weight", "lambda", "", "np",
]  # fmt: skip


def test_hostile_names(tmp_path: Path) -> None:
    leaves = {name: mg.tensor(float(i + 1), requires_grad=True) for i, name in enumerate(HOSTILE)}
    total = mg.stack(list(leaves.values())).sum()
    path = tmp_path / "hostile.html"
    page(total, path, leaves, title="</title><script>alert(2)</script>\x07")
    text = path.read_text("utf-8")
    found = Parsed(text)
    assert not found.inside
    assert [tag for tag, _ in found.tags].count("script") == 2 and "img" not in [tag for tag, _ in found.tags]
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", text.replace(found.texts["script"][1], ""))
    assert found.texts["title"][0] == "</title><script>alert(2)</script>\\x07"
    names = [v["name"] for v in found.data["graphs"][0]["values"] if v["kind"] == "leaf"]
    assert len(names) == len(HOSTILE) and all(name is None or len(name) <= 200 + 30 for name in names)
    variables = [v["var"] for v in found.data["graphs"][0]["values"]]
    assert len(set(variables)) == len(variables)
    assert all(re.fullmatch(r"[A-Za-z_]\w*", v) and v not in ("np", "lambda") for v in variables)


def test_before_backward_the_gradients_are_the_same() -> None:
    x, w = mg.tensor([[1.0, 2.0]], requires_grad=True), mg.tensor([[3.0], [4.0]], requires_grad=True)
    loss = (mg.tanh(x @ w) ** 2).sum()
    before = snapshot(loss, {"x": x, "w": w}).numbers
    assert not before.held
    loss.backward()
    after = snapshot(loss, {"x": x, "w": w}).numbers
    for key, tensor in (("v1", x), ("v2", w)):
        np.testing.assert_array_equal(before.gradients[key], np.asarray(tensor.grad))
        np.testing.assert_array_equal(after.gradients[key], np.asarray(tensor.grad))
    assert set(before.values) == set(after.values) == set(trace(loss).values)


def test_what_is_no_longer_true_is_not_shown() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    loss = (x.exp() * 2).sum()
    loss.backward()
    x.data = mg.tensor([5.0, 6.0])
    shot = snapshot(loss, {"x": x, "loss": loss})
    known = {shot.graph.values[key].name for key in shot.numbers.values}
    assert known == {"x", "loss"}


def test_accumulated_gradients_are_told(tmp_path: Path) -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        loss = (x * x).sum()
        loss.backward()
    page(loss, tmp_path / "x.html", {"x": x})
    data = Parsed((tmp_path / "x.html").read_text("utf-8")).data
    value = data["graphs"][0]["values"][0]
    assert value["held"] == "other" and decode(data, value["grad"]).tolist() == [2.0, 4.0]


class Noisy(mg.Op):
    """y = x + noise,  dx = dy"""

    runs = 0

    def forward(x):
        Noisy.runs += 1
        return x + 1

    def dx(dy):
        return dy


def test_a_users_op_does_not_run_again_and_a_split_is_no_array(tmp_path: Path) -> None:
    x = mg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    first, second = Noisy.apply(x).split(2)
    loss = (first * second).sum()
    runs = Noisy.runs
    page(loss, tmp_path / "x.html", {"x": x, "first": first, "loss": loss})
    assert Noisy.runs == runs
    data = Parsed((tmp_path / "x.html").read_text("utf-8")).data
    values = {v["name"]: v for v in data["graphs"][0]["values"]}
    assert decode(data, values["x"]["grad"]).tolist() == [4.0, 5.0, 2.0, 3.0]
    assert decode(data, values["first"]["value"]).tolist() == [2.0, 3.0]


def test_steps_share_a_drawing_and_keep_their_numbers(tmp_path: Path) -> None:
    w = mg.tensor([1.0, -2.0], requires_grad=True)
    shots = []
    for step in range(3):
        w.grad = None
        loss = (w**2).sum()
        loss.backward()
        shots.append(snapshot(loss, {"w": w, "loss": loss}, label=f"step {step}"))
        w.data = mg.tensor(w.array * 0.5)
    assert all(isinstance(shot, Snapshot) for shot in shots)
    page(shots, tmp_path / "w.html")
    found = Parsed((tmp_path / "w.html").read_text("utf-8"))
    assert len(found.with_class("graph")) == 1
    graphs = found.data["graphs"]
    assert [g["label"] for g in graphs] == ["step 0", "step 1", "step 2"]
    assert [decode(found.data, g["values"][0]["grad"]).tolist() for g in graphs] == [[2, -4], [1, -2], [0.5, -1]]
    other = (w.exp() * 2).sum()
    page([shots[0], other], tmp_path / "two.html", {"w": w}, labels=["square", "exp"])
    two = Parsed((tmp_path / "two.html").read_text("utf-8"))
    assert len(two.with_class("graph")) == 2 and [g["label"] for g in two.data["graphs"]] == ["square", "exp"]


def test_badges(parsed: Parsed, batch: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = parsed.data["graphs"][0]["check"]
    assert set(check) == set(LECTURE)
    assert check["h"] == [{"status": "exact", "maxdiff": 0.0, "exercise": 1}]
    assert [c["exercise"] for c in check["logits"]] == [1, 2]
    h = batch.tensors["h"]
    right = np.asarray(h.grad)
    for given in (cmp.all({"h": (right * 2, h)}), cmp("h", right * 2, h)):
        shot = snapshot(batch.graph[0], {"h": h}, check=given)
        assert shot.check["h"][0]["status"] == "differs" and shot.check["h"][0]["maxdiff"] > 0
    as_json = {"rows": [{"name": "h", "exact": False, "approximate": True, "maxdiff": 1e-9, "right": True}]}
    assert snapshot(batch.graph[0], check=as_json).check["h"][0]["status"] == "approximate"
    with pytest.raises(TypeError, match=r"cmp\.all\(\) returned"):
        snapshot(batch.graph[0], check=["exact"])


def test_a_long_chain_stands_in_rows(tmp_path: Path) -> None:
    x = y = mg.tensor(1.0, requires_grad=True)
    for _ in range(1500):
        y = y * 1.001
    page(y, tmp_path / "long.html", {"x": x})
    found = Parsed((tmp_path / "long.html").read_text("utf-8"))
    assert "1,501 values, more than" in found.data["graphs"][0]["simple"]
    assert len(found.with_class("node")) == 1501


def test_a_large_array_is_embedded_in_part(tmp_path: Path) -> None:
    x = mg.arange(100.0, requires_grad=True)
    page((x * x).sum(), tmp_path / "x.html", {"x": x}, max_elements=30)
    data = Parsed((tmp_path / "x.html").read_text("utf-8")).data
    about = data["arrays"][data["graphs"][0]["values"][0]["value"]]
    assert about["s"] == [100] and about["part"]["max"] == 99 and about["part"]["norm"] == pytest.approx(573.018)
    assert len(base64.b64decode(about["b"])) == 25 * 4


def test_odd_numbers_and_no_elements(tmp_path: Path) -> None:
    x = mg.tensor([np.nan, np.inf, -1.0], requires_grad=True)
    e = mg.zeros((0, 3), requires_grad=True)
    page([[x.sum(), e.sum()], x, [x, e, x * 2]], tmp_path / "x.html", {"x": x, "e": e})
    found = Parsed((tmp_path / "x.html").read_text("utf-8"))
    graphs = found.data["graphs"]
    assert [v["shape"] for v in graphs[0]["values"] if v["name"]] == [[3], [0, 3]]
    assert [v["kind"] for v in graphs[1]["values"]] == ["leaf"] and graphs[1]["ops"] == []
    last = [v for v in graphs[2]["values"] if v["name"] == "x"]
    assert decode(found.data, last[0]["grad"]).tolist() == [3, 3, 3]  # itself, and twice itself


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    x = mg.tensor(1.0, requires_grad=True)
    with pytest.raises(viz.RenderError, match=r"must end in \.html"):
        page(x, tmp_path / "x.svg")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        page(x, tmp_path / "folder.html")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        page(x, tmp_path / "none" / "x.html")
    with pytest.raises(TypeError, match="not int"):
        page(3, tmp_path / "x.html")
    with pytest.raises(TypeError, match="empty list"):
        page([], tmp_path / "x.html")
    with pytest.raises(ValueError, match="2 labels for 1 graphs"):
        page(x, tmp_path / "x.html", labels=["a", "b"])
    assert not (tmp_path / "x.html").exists()


def test_the_built_files_are_fresh_and_list_their_licences() -> None:
    names = [f"src/{path.name}" for path in sorted((ASSETS / "src").iterdir(), key=lambda path: path.name)]
    digest = hashlib.sha256()
    for name in [*names, "build.mjs", "package.json", "package-lock.json"]:
        digest.update(name.encode() + b"\0" + (ASSETS / name).read_bytes() + b"\0")
    script = (ASSETS / "built/page.js").read_text("utf-8")
    assert script.startswith(f"/* sources: {digest.hexdigest()}"), "run: make page-assets"
    listed = (ASSETS / "built/LICENSES.txt").read_text("utf-8")
    for package in ("@lezer/python", "@lezer/lr", "d3-zoom", "d3-selection", "d3-array"):
        assert f"\n{package} " in listed and f"\n{package} " in script.split("*/", 1)[0]
    assert "resolved" not in (ASSETS / "package-lock.json").read_text("utf-8")
    # what would end the script or begin a comment in HTML
    assert not re.search(r"</script|<!--", script, re.IGNORECASE)


def test_groups_and_warnings(tmp_path: Path) -> None:
    x = mg.tensor([[9.0, -9.0, 0.1]], requires_grad=True)
    with viz.scope("net"), viz.scope("<b>act"):
        h = mg.tanh(x)
    page(h.sum(), tmp_path / "x.html", {"x": x, "h": h})
    text = (tmp_path / "x.html").read_text("utf-8")
    found = Parsed(text)
    assert len(found.with_class("group")) == 2 and ">&lt;b&gt;act</text>" in text
    value = next(v for v in found.data["graphs"][0]["values"] if v["name"] == "h")
    assert value["scope"] == ["net", "<b>act"] and "tanh saturated" in value["warn"][0]


def test_the_fused_networks_answers(batch: Any) -> None:
    model, Xb, Yb = batch.model, batch.Xb, batch.Yb
    loss = model.forward_fused(Xb, Yb)
    shot = snapshot(loss, {**model.named_parameters(), "Xb": Xb, "Yb": Yb, "loss": loss})
    formulas, numbers = Formulas(shot.graph, shot.numbers), shot.numbers
    scope: dict[str, Any] = {formulas.var[k]: x for k, x in numbers.values.items()}
    scope |= {f"d{formulas.var[k]}": x for k, x in numbers.gradients.items()} | {"np": np}

    def softmax(x: np.ndarray, dim: int) -> np.ndarray:
        e = np.exp(x - x.max(dim, keepdims=True))
        return e / e.sum(dim, keepdims=True)

    scope["F"] = SimpleNamespace(softmax=softmax)
    for value in shot.graph.values.values():
        want = numbers.gradients.get(value.key)
        if want is None or value.kind == "output":
            continue
        answer = formulas.answer(value.key)
        assert answer is not None, value
        for line in answer.lines[:-1]:
            exec(line, scope)
        np.testing.assert_allclose(eval(answer.lines[-1], scope), want, rtol=1e-3, atol=1e-7, err_msg=str(value.name))


def test_what_was_changed_in_place_is_not_differentiated() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    loss = (y * y).sum()
    y += 1
    shot = snapshot(loss, {"x": x, "loss": loss})
    assert shot.numbers.gradients["v1"].tolist() == [18.0, 36.0]  # of y as it was then


def test_without_a_layout_program_it_stands_in_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> bytes:
        raise viz.RenderError("nothing here lays out a graph")

    monkeypatch.setattr("viz.layout.lay_out", fails)
    a, b = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor(3.0, requires_grad=True)
    page((a * b + a).sum(), tmp_path / "a.html", {"a": a, "b": b})
    found = Parsed((tmp_path / "a.html").read_text("utf-8"))
    assert found.data["graphs"][0]["simple"] == "nothing here lays out a graph"
    places = [attrs["transform"] for attrs in found.with_class("node")]
    assert len(places) == len(set(places)) == 5


def test_too_large_a_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["viz.page"], "MAX_VALUES", 2)  # viz.page itself is the function
    x = mg.tensor(1.0, requires_grad=True)
    with pytest.raises(viz.RenderError, match=r"3 values, too many for a page \(the limit is 2\)"):
        snapshot(x * 2 * 3)
