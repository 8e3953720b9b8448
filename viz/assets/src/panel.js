// The panel beside the graph: the chosen value, or the step that is shown, or what the whole graph is.
import { $, array, called, el, graph, graphs, listen, number, shape, state } from "./data.js";
import { derivation, detail, link, madeBy } from "./detail.js";
import { heat } from "./heat.js";
import { size } from "./nd.js";
import { current, inputs } from "./step.js";

const NAMED = 60;

function overview() {
  const g = graph(),
    leaves = g.values.filter((v) => v.kind === "leaf"),
    named = g.values.filter((v) => v.name),
    out = g.values.filter((v) => v.kind === "output");
  const result = (v) =>
    el(
      "p",
      {},
      el("code", {}, called(v)),
      v.value !== null && size(v.shape) === 1 ? ` = ${number(array(v.value).d[0], 6)}` : ` ${shape(v.shape)}`,
    );
  const many = (n, one, more) => `${n.toLocaleString("en")} ${n === 1 ? one : more}`;
  return [
    el("h2", {}, graphs.length > 1 ? g.label : "The whole graph"),
    el(
      "p",
      {},
      `${many(g.values.length, "value", "values")}, ${many(g.order.length, "op", "ops")}, ${many(leaves.length, "leaf that requires", "leaves that require")} grad.`,
    ),
    ...out.slice(0, 12).map(result),
    el(
      "p",
      { cls: "sub" },
      "Choose a box: its numbers, its rule, and how its gradient comes about are shown here.",
      " Or step through forward and backward below, or start the quiz.",
    ),
    ...(named.length
      ? [
          el("h3", {}, "Values with a name"),
          el("div", { cls: "links" }, ...named.slice(0, NAMED).map((v) => link(v.k))),
          named.length > NAMED ? el("p", { cls: "sub" }, `and ${named.length - NAMED} more: search finds them`) : null,
        ].filter(Boolean)
      : []),
  ];
}

// What happens in this step, with its numbers.
function stepping({ kind, op, at, of }) {
  const g = graph(),
    z = op && g.byKey.get(op.out);
  if (kind === "forward")
    return [
      el("h2", {}, called(z)),
      el("p", { cls: "sub" }, `Forward, op ${at} of ${of}: ${op.name} makes ${shape(z.shape)}`),
      ...madeBy(z, op),
      el("h3", {}, "Value"),
      heat(z.value, z.var),
    ].filter(Boolean);
  if (kind === "backward") {
    const out = [
      el("h2", {}, `Through ${op.symbol}`),
      el("p", { cls: "sub" }, `Backward, op ${at} of ${of}: `, el("code", {}, z.line)),
    ];
    for (const { v, use, k } of inputs(op)) {
      const n = v.uses.length;
      out.push(
        el("h3", {}, n > 1 ? `Use ${k} of ${n} of ` : "Gradient of ", el("code", {}, called(v))),
        derivation(v, use),
      );
      if (n > 1)
        out.push(
          el(
            "p",
            { cls: "sub" },
            k < n
              ? "More is to come: what each use gives is added up."
              : "It was the last use: now its gradient is whole.",
          ),
        );
      out.push(heat(use.product, n > 1 ? `d${v.var}, this use` : `d${v.var}`, () => "", "g"));
    }
    return out;
  }
  if (kind === "seed") {
    const v = g.values.find((x) => x.kind === "output");
    return [
      el("h2", {}, `d${v.var}`),
      el(
        "p",
        {},
        "Backward begins at the output. Its gradient by itself is 1: if it grows by a little, it grows by that little.",
      ),
      heat(v.grad, `d${v.var}`, () => "", "g"),
    ];
  }
  return overview();
}

listen((what) => {
  if (state.quiz || !["graph", "key", "quiz", "step"].includes(what)) return;
  if (what === "step" && !state.follow) return;
  const v = graph().byKey.get(state.key);
  $("side").setAttribute("aria-label", "Detail");
  $("side").replaceChildren(...(state.follow ? stepping(current()) : v ? detail(v) : overview()).filter(Boolean));
  $("side").classList.toggle("whole", !state.follow && !v); // says nothing on paper
  if (scrolled) $("side").scrollTop = 0;
});
// Asked for when it changes: reading it lays the whole page out.
let scrolled = false;
$("side").addEventListener("scroll", () => {
  scrolled = $("side").scrollTop > 0;
});
