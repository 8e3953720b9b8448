"""`page`: a graph as one HTML file that teaches backward, and `snapshot`, which keeps a training step for one.

The file holds all it needs: layout, numbers, script, style. It loads nothing, and its Content-Security-Policy forbids
it to. Script and style are built from viz/assets by `make page-assets`; nobody who runs Python needs that.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import Tensor

from .errors import RenderError
from .formulas import Formulas
from .layout import clean, draw, place
from .replay import Numbers, replay
from .stats import warnings_of
from .trace import Trace, trace_held

__all__ = ["Snapshot", "page", "snapshot"]

MAX_VALUES = 20_000
MAX_ELEMENTS = 65_536  # of an array that is embedded whole; of a larger one every so many
NUMBERS = 50  # plain numbers taken from names, such as n

# The lecture's 26 in the order of its exercise 1: where a graph has all of them, the quiz asks them so.
LECTURE = [
    "logprobs", "probs", "counts_sum_inv", "counts_sum", "counts", "norm_logits", "logit_maxes", "logits", "h", "W2",
    "b2", "hpreact", "bngain", "bnbias", "bnraw", "bnvar_inv", "bnvar", "bndiff2", "bndiff", "bnmeani", "hprebn",
    "embcat", "W1", "b1", "emb", "C",
]  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """A graph with its numbers at one moment, for page(): see snapshot()."""

    graph: Trace
    numbers: Numbers
    label: str | None
    scalars: dict[str, float]
    check: dict[str, list[dict[str, Any]]]

    def __repr__(self) -> str:
        return f"<Snapshot {self.label or ''} of {len(self.graph.values)} values>"


def snapshot(
    output: Tensor | Sequence[Tensor],
    names: Mapping[str, Any] | None = None,
    *,
    label: str | None = None,
    check: Any = None,
) -> Snapshot:
    """Keep a graph's numbers as they are now, before an optimizer changes the parameters: see page().

    output, names: as in render(); plain numbers in names can be used in the quiz too. label: such as "step 1000".
    check: what `minigrad.check.cmp.all` returned, the rows of `makemore check` or its JSON: shown as parity badges.

    Raises TypeError where output is no Tensor or check is none of these, RenderError for too large a graph.
    """
    graph, held = trace_held(output, names)
    if len(graph.values) > MAX_VALUES:
        raise RenderError(
            f"this graph has {len(graph.values):,} values, too many for a page (the limit is {MAX_VALUES:,}): "
            "show an earlier value or a smaller batch of steps"
        )
    outputs = [output] if isinstance(output, Tensor) else list(output)
    plain = {
        str(name): value
        for name, value in (names or {}).items()
        if type(value) in (int, float) and str(name).isidentifier() and math.isfinite(value)
    }
    scalars = dict(list(plain.items())[:NUMBERS])
    return Snapshot(graph, replay(outputs, graph, names or {}, held), label, scalars, _checked(check))


def page(
    output: Any,
    path: str | os.PathLike[str],
    names: Mapping[str, Any] | None = None,
    *,
    title: str = "minigrad",
    labels: Sequence[str] | None = None,
    check: Any = None,
    max_elements: int = MAX_ELEMENTS,
) -> Path:
    """Write the graph that made `output` into `path` as one HTML file that needs no network; returns the path.

    output: a Tensor or a Snapshot, or a list of them: several graphs, or steps of a training, to switch between.
        (Several outputs of one graph: a list within the list, or a snapshot of them.) Tensors whose parameters were
        changed since have lost their numbers: keep a snapshot() of each step.
    names: from name to Tensor, such as `locals()`; plain numbers in it can be used in the quiz.
    title: of the page. labels: one for each graph, such as "step 1000".
    check: the result of a check, shown as badges: see snapshot().
    max_elements: of a larger array a part is embedded, evenly taken, and the page says so.

    Gradients are those of the output's sum, worked out again by the engine's rules, before or after backward().
    Raises TypeError for an output that is none of these, ValueError for labels that do not fit, RenderError for a path
    that does not end in .html or too large a graph, OSError where the file cannot be written.
    """
    from .picture import _write

    place_ = Path(path)
    if place_.suffix.lower() not in (".html", ".htm"):
        raise RenderError(f"cannot write {str(place_)!r}: the name of a page must end in .html")
    if place_.is_dir():
        raise IsADirectoryError(f"cannot write {str(place_)!r}: it is a folder")
    if not place_.parent.is_dir():
        raise FileNotFoundError(f"cannot write {str(place_)!r}: there is no folder {str(place_.parent)!r}")
    things = list(output) if isinstance(output, (list, tuple)) else [output]
    if not things:
        raise TypeError("a page needs a Tensor or a Snapshot, or a list of them, and got an empty list")
    if labels is not None and len(labels) != len(things):
        raise ValueError(f"got {len(labels)} labels for {len(things)} graphs: give one each")
    shots = [t if isinstance(t, Snapshot) else snapshot(t, names, check=check) for t in things]
    called = [str(labels[i]) if labels is not None else shot.label or f"graph {i + 1}" for i, shot in enumerate(shots)]
    _write(place_, _html(shots, called, title, max_elements).encode())
    return place_


# ---------------------------------------------------------------------------------------------- the file


def _html(shots: list[Snapshot], labels: list[str], title: str, max_elements: int) -> str:
    drawings: dict[str, tuple[int, str | None]] = {}
    pictures: list[str] = []
    store = _Store(max_elements)
    graphs = []
    for shot, label in zip(shots, labels, strict=True):
        same = repr((shot.graph.ops, [(v.key, v.kind, v.name, v.shape) for v in shot.graph.values.values()]))
        if same not in drawings:
            formulas = Formulas(shot.graph, shot.numbers)
            texts = {**{k: formulas.var[k] for k, v in shot.graph.values.items() if not v.name}, **formulas.texts()}
            layout = place(shot.graph, texts)
            drawings[same] = len(pictures), layout.simple
            pictures.append(draw(shot.graph, layout, len(pictures), texts))
        drawing, simple = drawings[same]
        graphs.append({"label": clean(label, 60), "drawing": drawing, "simple": simple, **_export(shot, store)})
    data = {"title": clean(title), "graphs": graphs, "arrays": store.arrays}
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for c in "<>&":
        text = text.replace(c, f"\\u{ord(c):04x}")
    built = files(__package__) / "assets" / "built"
    script, style = ((built / name).read_text("utf-8") for name in ("page.js", "page.css"))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    found = (built / "page.html").read_text("utf-8")
    parts = {
        "policy": policy,
        "title": html.escape(clean(title)),
        "style": style,
        "graphs": "".join(pictures),
        "data": text,
        "script": script,
    }
    # split once: what is put in is never looked at again
    pieces = found.split("%%")
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class _Store:
    """All arrays of a page, each once, in base64: float32, int32 or bytes, float64 where they fall short."""

    def __init__(self, max_elements: int) -> None:
        self.max_elements = max_elements
        self.arrays: list[dict[str, Any]] = []
        self.known: dict[Any, int] = {}

    def add(self, array: np.ndarray | None) -> int | None:
        """The number of an array; what is no number has none."""
        if array is None or array.dtype.kind not in "fiub":
            return None
        kind = {"f": "f4", "b": "u1"}.get(array.dtype.kind, "i4")
        flat = np.asarray(array).reshape(-1)
        about: dict[str, Any] = {"t": kind, "s": list(array.shape)}
        if flat.size > self.max_elements:
            step = math.ceil(flat.size / self.max_elements)
            about["part"] = {**_facts(flat), "step": step}
            flat = flat[::step]
        if _falls_short(flat, kind):
            about["t"] = kind = "f8"
        content = np.ascontiguousarray(flat, "<" + kind if kind != "u1" else "u1").tobytes()
        key = (kind, array.shape, content, repr(about.get("part")))
        if key not in self.known:
            self.known[key] = len(self.arrays)
            self.arrays.append({**about, "b": base64.b64encode(content).decode()})
        return self.known[key]


def _falls_short(flat: np.ndarray, kind: str) -> bool:
    """Whether some number would be another one in this kind: too large an int, a float64 out of float32's range."""
    if kind == "i4":
        return bool(np.any(flat < -(2**31)) or np.any(flat > 2**31 - 1))
    if kind != "f4" or flat.dtype.itemsize <= 4:
        return False
    x = np.abs(flat[np.isfinite(flat) & (flat != 0)])
    return bool(x.size and (x.max() > np.finfo(np.float32).max or x.min() < np.finfo(np.float32).tiny))


def _facts(flat: np.ndarray) -> dict[str, Any]:
    """What is said of an array that is not embedded whole."""
    x = flat[np.isfinite(flat)].astype(np.float64)
    facts = {
        "min": x.min(initial=math.inf), "max": x.max(initial=-math.inf), "mean": x.mean() if x.size else 0.0,
        "std": x.std() if x.size else 0.0, "norm": float(np.sqrt(np.dot(x, x))),
        "zeros": int((flat == 0).sum()), "odd": int(flat.size - x.size),
    }  # fmt: skip
    return {name: float(f"{v:.6g}") if math.isfinite(v) else None for name, v in facts.items()}


# ----------------------------------------------------------------------------------------- what is shown


def _export(shot: Snapshot, store: _Store) -> dict[str, Any]:
    graph, numbers = shot.graph, shot.numbers
    formulas = Formulas(graph, numbers)
    made_by = {op.output: op.key for op in graph.ops}
    texts, warned = formulas.texts(), warnings_of(graph, numbers.values, numbers.gradients)
    values = []
    for value in graph.values.values():
        key = value.key
        gradient, held = numbers.gradients.get(key), numbers.held.get(key)
        several = len(formulas.used_by.get(key, [])) > 1
        entry: dict[str, Any] = {
            "k": key,
            "name": clean(value.name) if value.name else None,
            "short": clean(value.name, 40) if value.name else None,
            "var": formulas.var[key],
            "text": texts.get(key),
            "kind": value.kind,
            "shape": list(value.shape),
            "dtype": value.dtype,
            "also": [clean(name) for name in value.also[:8]],
            "by": made_by.get(key),
            "warn": list(warned.get(key, ())),
            "scope": [clean(name, 60) for name in value.scope],
            "value": store.add(numbers.values.get(key)),
            "grad": store.add(gradient),
            "held": None if held is None else "same" if _same(held, gradient) else "other",
            "line": formulas.forward(key),
            "lines": formulas.lines(key),
            "uses": [
                {
                    "op": use.op,
                    "i": use.position,
                    "wide": use.wide if use.wide is None else list(use.wide),
                    "product": store.add(use.product) if several else store.add(gradient),
                    "local": store.add(use.local),
                    "text": formulas.local(use.op, use.position),
                    "part": formulas.part_text(use.op, use.position),
                }
                for use in numbers.uses.get(key, [])
            ],
        }
        if gradient is not None and value.name and value.kind != "output":
            answer = formulas.answer(key)
            entry["answer"] = None if answer is None else answer.text
            entry["wrong"] = [] if answer is None else list(answer.wrong)
        values.append(entry)
    return {
        "values": values,
        "ops": [
            {
                "k": op.key,
                "name": clean(op.name),
                "symbol": clean(op.symbol, 40),
                "formula": clean(op.formula),
                "inputs": [x if isinstance(x, str) else {"number": _plain(x.number)} for x in op.inputs],
                "settings": [[clean(k), clean(v)] for k, v in op.settings],
                "out": op.output,
            }
            for op in graph.ops
        ],
        "hidden": {name: store.add(array) for name, array in formulas.hidden.items()},
        "scalars": shot.scalars,
        "quiz": _quiz(shot, formulas),
        "check": shot.check,
    }


def _quiz(shot: Snapshot, formulas: Formulas) -> list[str]:
    """The values that are asked for: all with a name and a gradient, as backward reaches them."""
    asked = {
        v.key: v.name for v in shot.graph.values.values()
        if v.name and v.kind not in ("output", "constant") and v.key in shot.numbers.gradients
        and formulas.used_by.get(v.key)
    }  # fmt: skip
    if set(LECTURE) <= set(asked.values()):
        by_name = {name: key for key, name in reversed(asked.items())}
        return [by_name[name] for name in LECTURE]
    place_of = {op.key: i for i, op in enumerate(shot.graph.ops)}
    return sorted(asked, key=lambda key: -place_of[formulas.used_by[key][0][0].key])


def _same(a: np.ndarray, b: np.ndarray | None) -> bool:
    return b is not None and a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-5, atol=1e-30, equal_nan=True))


def _plain(number: Any) -> str:
    return clean(f"{number:.6g}" if isinstance(number, float) else repr(number), 40)


def _checked(check: Any) -> dict[str, list[dict[str, Any]]]:
    """A check's result by name: what cmp gave, the rows of `makemore check`, or the JSON of either."""
    if check is None:
        return {}
    if isinstance(check, Mapping):
        rows = check.get("rows", None)
        rows = list(check.values()) if rows is None else rows
    else:
        rows = list(check) if isinstance(check, (list, tuple)) else [check]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        comparison = getattr(row, "comparison", row)

        def fact(name: str, row: Any = row, comparison: Any = comparison) -> Any:
            if isinstance(row, Mapping):
                return row.get(name)
            return getattr(row, name, getattr(comparison, name, None))

        name, exact, close, maxdiff = (fact(x) for x in ("name", "exact", "approximate", "maxdiff"))
        if name is None or exact is None or close is None:
            raise TypeError(
                f"check is what cmp.all() returned, the rows of `makemore check` or its JSON, not {type(row).__name__}"
            )
        right = fact("right")
        right = (bool(row) if not isinstance(row, Mapping) else bool(close)) if right is None else bool(right)
        finite = maxdiff is not None and math.isfinite(maxdiff)
        found.setdefault(str(name), []).append(
            {
                "status": "differs" if not right else "exact" if exact else "approximate",
                "maxdiff": float(maxdiff) if finite else None,
                "exercise": fact("exercise"),
            }
        )
    return found
