// All values as a table that sorts by any column.
import { $, called, el, facts, graph, graphs, listen, number, shape, state } from "./data.js";
import { badges } from "./detail.js";
import { choose } from "./graph.js";
import { size } from "./nd.js";

const RANK = { differs: 0, approximate: 1, exact: 2 };
const norm = (v) => (state.quiz && !state.quiz.open(v.k) ? null : (facts(v.grad)?.norm ?? null));
const COLUMNS = {
  name: { head: "Name", key: (v) => called(v).toLowerCase() },
  op: { head: "Op", key: (v) => (v.by ? graph().ops.get(v.by).symbol : v.kind) },
  shape: { head: "Shape", key: (v) => size(v.shape) },
  value: { head: "Value norm", num: true, key: (v) => facts(v.value)?.norm ?? null },
  grad: { head: "Gradient norm", num: true, key: norm },
  check: {
    head: "Check",
    key: (v) => {
      const c = graph().check.get(v.name);
      return c ? Math.min(...c.map((x) => RANK[x.status])) : null;
    },
  },
};
let sorted = null,
  down = false,
  stale = true; // drawn only where it is seen: a graph may have thousands of values

function draw() {
  stale = false;
  const g = graph(),
    checked = g.values.some((v) => g.check.has(v.name));
  const columns = Object.entries(COLUMNS).filter(([id]) => id !== "check" || checked);
  const rows = [...g.values];
  if (sorted) {
    const { key } = COLUMNS[sorted];
    // what has nothing to sort by comes last, whichever way
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return x === null ? (y === null ? 0 : 1) : y === null ? -1 : (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    });
  }
  const head = el(
    "tr",
    {},
    ...columns.map(([id, c]) =>
      el(
        "th",
        {
          scope: "col",
          cls: c.num ? `num ${id}` : "",
          "aria-sort": sorted === id ? (down ? "descending" : "ascending") : "none",
        },
        el(
          "button",
          {
            type: "button",
            id: `sort-${id}`,
            onclick: () => {
              // first one way, then the other, then as backward's graph has them
              const turned = sorted === id && down !== !!c.num;
              down = sorted === id ? !down : !!c.num;
              sorted = turned ? null : id;
              draw();
              $(`sort-${id}`).focus();
            },
          },
          `${c.head} ${sorted === id ? (down ? "▼" : "▲") : ""}`,
        ),
      ),
    ),
  );
  const body = rows.map((v) =>
    el(
      "tr",
      { cls: v.k === state.key ? "selected" : "", "data-k": v.k },
      el("td", {}, el("button", { type: "button", onclick: () => choose(v.k) }, called(v))),
      el("td", { cls: "mono" }, v.by ? g.ops.get(v.by).symbol : v.kind),
      el("td", { cls: "mono" }, shape(v.shape)),
      el("td", { cls: "num value" }, number(COLUMNS.value.key(v))),
      el("td", { cls: "num" }, number(norm(v))),
      ...(checked ? [el("td", {}, ...badges(v).flatMap((b) => [b, " "]))] : []),
    ),
  );
  $("view-table").replaceChildren(
    el(
      "table",
      {},
      el("caption", {}, graphs.length > 1 ? `${g.values.length} values of ${g.label}` : `${g.values.length} values`),
      el("thead", {}, head),
      el("tbody", {}, ...body),
    ),
  );
}
listen((what) => {
  if (!["graph", "key", "quiz", "view"].includes(what)) return;
  stale ||= what !== "view";
  if (state.view === "table" && stale) draw();
});
addEventListener("beforeprint", draw);
