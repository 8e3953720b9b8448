// The page: header, search, keys. Each view draws itself when state changes (see data.js).
import { $, asNd, called, el, graph, graphs, listen, shape, state, tell } from "./data.js";
import * as view from "./graph.js";
import "./panel.js";
import "./paper.js";
import { last, play, step } from "./step.js";
import { toggle } from "./quiz.js";
import "./table.js";
import { norms } from "./norms.js";
import { variables } from "./judge.js";
import { evaluate } from "./python.js";

// ------------------------------------------------------------------------------------------ which is shown

graphs.forEach((g, i) => $("which").append(el("option", { value: i }, g.label)));
$("which-label").hidden = graphs.length < 2;
const change = (i) => {
  if (i < 0 || i >= graphs.length) return;
  const name = graph().byKey.get(state.key)?.name,
    end = state.step === last();
  state.g = i;
  state.key = graph().values.find((v) => name && v.name === name)?.k ?? null;
  $("which").value = i;
  if (end) state.step = last();
  tell("graph");
};
$("which").addEventListener("change", () => change(+$("which").value));

const show = (name) => {
  if ($(`tab-${name}`).hidden) return;
  state.view = name;
  tell("view");
};
for (const name of ["graph", "table", "norms"]) $(`tab-${name}`).addEventListener("click", () => show(name));
listen((what) => {
  if (what !== "view") return;
  for (const name of ["graph", "table", "norms"]) {
    $(`view-${name}`).hidden = name !== state.view;
    $(`tab-${name}`).setAttribute("aria-pressed", String(name === state.view));
  }
});

// -------------------------------------------------------------------------------------------------- search

const search = $("search"),
  found = $("found");
let at = -1;
const hits = () => {
  const text = search.value.trim().toLowerCase();
  if (!text) return [];
  const rank = (v) => {
    const name = called(v).toLowerCase(),
      op = v.by ? graph().ops.get(v.by).symbol : v.kind;
    return name === text
      ? 0
      : name.startsWith(text)
        ? 1
        : (v.name ?? "").toLowerCase().includes(text)
          ? 2
          : `${op} ${shape(v.shape)} ${v.k}`.toLowerCase().includes(text)
            ? 3
            : 9;
  };
  return graph()
    .values.map((v) => [rank(v), v])
    .filter(([r]) => r < 9)
    .sort((a, b) => a[0] - b[0])
    .map(([, v]) => v)
    .slice(0, 40);
};
function list(open = true) {
  const all = open ? hits() : [];
  at = Math.min(at, all.length - 1);
  found.hidden = !open || !search.value.trim();
  search.setAttribute("aria-expanded", String(!found.hidden));
  found.replaceChildren(
    ...(all.length
      ? all.map((v, i) =>
          el(
            "li",
            { role: "option", id: `hit-${i}`, "data-k": v.k, "aria-selected": String(i === at) },
            el("span", {}, called(v)),
            el("small", {}, `${v.by ? graph().ops.get(v.by).symbol : v.kind} ${shape(v.shape)}`),
          ),
        )
      : [el("li", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, "nothing of that name")]),
  );
  if (at >= 0) {
    search.setAttribute("aria-activedescendant", `hit-${at}`);
    $(`hit-${at}`).scrollIntoView({ block: "nearest" });
  } else search.removeAttribute("aria-activedescendant");
  const marks = new Set(all.map((v) => v.k));
  for (const node of view.svg().querySelectorAll(".node"))
    node.classList.toggle("miss", open && marks.size > 0 && !marks.has(node.dataset.k));
}
const take = (key) => {
  at = -1;
  search.value = "";
  list(false);
  view.choose(key, { focus: true, view: true });
};
search.addEventListener("input", () => {
  at = search.value.trim() ? 0 : -1;
  list();
});
search.addEventListener("keydown", (event) => {
  const n = hits().length;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (n) at = (at + (event.key === "ArrowDown" ? 1 : n - 1)) % n;
    list();
  }
  if (event.key === "Enter" && n) {
    event.preventDefault();
    take(hits()[Math.max(0, at)].k);
  }
  if (event.key === "Escape") {
    search.value = "";
    at = -1;
    list(false);
    search.blur();
  }
});
search.addEventListener("blur", () => setTimeout(() => list(false), 150));
found.addEventListener("pointerdown", (event) => {
  const hit = event.target.closest("[data-k]");
  if (hit) {
    event.preventDefault();
    take(hit.dataset.k);
  }
});

// ---------------------------------------------------------------------------------------------------- keys

$("zoom-in").addEventListener("click", () => view.by(1.3));
$("zoom-out").addEventListener("click", () => view.by(1 / 1.3));
$("zoom-fit").addEventListener("click", () => view.fit());
$("help-on").addEventListener("click", () => $("help").showModal());

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    $("help").open ||
    /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
  )
    return;
  const node = target.closest?.(".node"),
    button = /^(BUTTON|SUMMARY)$/.test(target.tagName);
  const act = (f) => {
    event.preventDefault();
    f();
  };
  if (ARROWS[key] && event.shiftKey) return act(() => view.pan(-60 * ARROWS[key][0], -60 * ARROWS[key][1]));
  if (ARROWS[key] && node)
    return act(() => {
      const to = view.neighbour(node.dataset.k, ...ARROWS[key]);
      if (to) view.choose(to, { focus: true });
    });
  if (node && (key === "Enter" || key === " "))
    return act(() => {
      view.choose(node.dataset.k);
      $("side").focus();
    });
  if (button && (key === "Enter" || key === " ")) return;
  const keys = {
    "/": () => search.focus(),
    "?": () => $("help").showModal(),
    ",": () => {
      play(false);
      step(state.step - 1);
    },
    ".": () => {
      play(false);
      step(state.step + 1);
    },
    " ": () => play(),
    Home: () => {
      play(false);
      step(0);
    },
    End: () => {
      play(false);
      step(last());
    },
    "+": () => view.by(1.3),
    "=": () => view.by(1.3),
    "-": () => view.by(1 / 1.3),
    0: () => view.fit(),
    g: () => show("graph"),
    t: () => show("table"),
    n: () => show("norms"),
    q: () => toggle(),
    "[": () => change(state.g - 1),
    "]": () => change(state.g + 1),
    Escape: () => {
      state.key = null;
      state.follow = false;
      tell("key");
    },
  };
  if (Object.hasOwn(keys, key)) act(keys[key]);
});

norms(change);
state.step = 1e9;
tell("graph");
addEventListener("resize", () => {
  if (!view.svg().__zoom) view.start();
});

// For the console: minigrad.evaluate("dh @ W2.T") works out a formula on this graph's numbers.
globalThis.minigrad = {
  evaluate: (text) => {
    const all = variables(graph().values[0]);
    for (const v of graph().values) if (asNd(v.grad)) all.set(`d${v.var}`, asNd(v.grad));
    const { s, d } = evaluate(text, all);
    return { shape: s, data: Array.from(d) };
  },
};
