// The panel of a chosen value: its numbers, the op that made it, and where its gradient comes from.
import { $, array, called, el, facts, graph, listen, number, shape, state } from "./data.js";
import { choose } from "./graph.js";
import { heat, indexOf } from "./heat.js";
import { size } from "./nd.js";

const KINDS = { leaf: "leaf, requires grad", constant: "constant", result: "result", output: "output" };
export const badges = (v) =>
  (graph().check.get(v.name) ?? []).map((c) =>
    el(
      "span",
      { cls: `badge ${c.status}` },
      `${c.exercise ? `ex. ${c.exercise}: ` : ""}${c.status}${c.status === "exact" ? "" : `, maxdiff ${number(c.maxdiff, 3)}`}`,
    ),
  );
const link = (key) => {
  const v = graph().byKey.get(key);
  return el("button", { type: "button", onclick: () => choose(key, { focus: false }) }, called(v));
};

export function detail(v) {
  const g = graph(),
    op = v.by ? g.ops.get(v.by) : null,
    out = [];
  out.push(
    el("h2", {}, called(v)),
    el(
      "p",
      { cls: "sub" },
      `${KINDS[v.kind]}${op ? ` of ${op.name}` : ""} · ${shape(v.shape)} · ${v.dtype}${v.name ? "" : " · has no name"}`,
    ),
  );
  if (v.name && v.name !== v.short) out.push(el("p", { cls: "sub" }, v.name));
  if (v.scope.length) out.push(el("p", { cls: "sub" }, `in ${v.scope.join(" / ")}`));
  for (const text of v.warn) out.push(el("p", { cls: "note" }, `⚠ ${text}`));
  if (v.also.length) out.push(el("p", { cls: "sub" }, `also called ${v.also.join(", ")}`));
  if (v.name && v.var !== v.name) out.push(el("p", { cls: "sub" }, "in formulas: ", el("code", {}, v.var)));
  const marks = badges(v);
  if (marks.length) out.push(el("p", {}, "Checked: ", ...marks.flatMap((m) => [m, " "])));
  if (op) {
    out.push(el("h3", {}, "Made by"), el("div", { cls: "formula" }, v.line));
    out.push(
      el(
        "p",
        { cls: "sub" },
        `${op.name}${op.settings.length ? ` with ${op.settings.map(([k, x]) => `${k}=${x}`).join(", ")}` : ""}; its rule:`,
      ),
      el("div", { cls: "formula" }, op.formula || "the op says no formula"),
    );
    const from = [...new Set(op.inputs.filter((x) => typeof x === "string"))];
    if (from.length) out.push(el("div", { cls: "links" }, "from ", ...from.map(link)));
  }
  out.push(el("h3", {}, "Value"), heat(v.value, v.var));
  if (v.kind !== "constant") out.push(...gradient(v));
  return out;
}

function gradient(v) {
  const out = [el("h3", {}, "Gradient")];
  if (v.grad === null)
    return [
      ...out,
      el("p", { cls: "sub" }, "no grad: the output does not depend on it, or what its rule needs was not kept"),
    ];
  if (v.held === null)
    out.push(
      el(
        "p",
        { cls: "sub" },
        `no .grad on it${v.kind === "leaf" ? " yet" : " (retain_grad() would keep it)"}: worked out here by the same rules`,
      ),
    );
  if (v.held === "other")
    out.push(
      el(
        "p",
        { cls: "note" },
        "Its .grad holds something else, as after two backward passes, clipping or zero_grad(): shown is one backward from this output.",
      ),
    );
  out.push(
    heat(
      v.grad,
      `d${v.var}`,
      (k) =>
        v.uses.length === 1
          ? product(v, v.uses[0], k)
          : v.uses.length
            ? `= ${v.uses.map((u) => number(array(u.product)?.d[k] ?? null)).join(" + ")}`
            : "",
      "g",
    ),
  );
  out.push(el("h3", {}, "Where it comes from"));
  if (v.kind === "output" && !v.uses.length)
    return [...out, el("p", {}, "This is the output: its gradient by itself is 1. Here backward begins.")];
  if (v.uses.length > 1)
    out.push(el("p", {}, `It is used ${v.uses.length} times, and so what each use gives is added up:`));
  v.uses.forEach((use) => out.push(derivation(v, use)));
  if (v.answer)
    out.push(
      el("p", { cls: "sub" }, "Altogether:"),
      el(
        "div",
        { cls: "formula" },
        v.answer.replace(/^(?=[^\n]*$)/m, (_, at) =>
          at === 0 || v.answer.lastIndexOf("\n") + 1 === at ? `d${v.var} = ` : "",
        ),
      ),
    );
  return out;
}

function derivation(v, use) {
  const op = graph().ops.get(use.op),
    z = graph().byKey.get(op.out),
    wide = use.wide ?? z.shape;
  const row = (head, text, i, s) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, head),
      el("td", {}, text, i === null ? "" : el("small", {}, ` norm ${number(facts(i)?.norm)}`)),
      el("td", {}, s),
    );
  const body = el("tbody", {}, row("upstream", `d${z.var}`, z.grad, shape(z.shape)));
  if (use.text || use.local !== null) {
    const constant = use.local !== null && facts(use.local) && facts(use.local).min === facts(use.local).max;
    body.append(
      row(
        "local derivative",
        constant ? number(facts(use.local).min) : use.text || "see the rule",
        constant ? null : use.local,
        use.local === null ? "" : shape(array(use.local).s),
      ),
    );
  }
  body.append(
    row(
      "product",
      op.name === "MatMul" ? "matrix product" : "upstream × local",
      shape(wide) === shape(v.shape) ? use.product : null,
      shape(wide),
    ),
  );
  if (shape(wide) !== shape(v.shape))
    body.append(
      row(
        "summed",
        `${called(v)} was broadcast ${shape(v.shape)} → ${shape(wide)}, and so the way back is a sum`,
        use.product,
        shape(v.shape),
      ),
    );
  return el(
    "div",
    { cls: "use" },
    el("p", {}, "in ", el("code", {}, z.line)),
    el("p", { cls: "sub" }, op.formula),
    el("table", {}, body),
    el("div", { cls: "links" }, "on to ", link(z.k)),
  );
}

// One element's product, where the rule is elementwise and nothing was summed: "= -0.0012 * 0.81".
function product(v, use, k) {
  const z = graph().byKey.get(graph().ops.get(use.op).out),
    up = array(z.grad),
    local = array(use.local);
  if (!up?.whole || !local?.whole || size(up.s) !== size(local.s)) return "";
  if (shape(up.s) === shape(v.shape)) return `= ${number(up.d[k])} × ${number(local.d[k])}`;
  return `= a sum of ${size(up.s) / size(v.shape)} products`;
}

export const overview = () => {
  const g = graph(),
    leaves = g.values.filter((v) => v.kind === "leaf"),
    out = g.values.filter((v) => v.kind === "output");
  return [
    el("h2", {}, g.label),
    el(
      "p",
      {},
      `${g.values.length} values, ${g.order.length} ops, ${leaves.length === 1 ? "one leaf that requires" : `${leaves.length} leaves that require`} grad.`,
    ),
    ...out.map((v) =>
      el(
        "p",
        {},
        el("code", {}, called(v)),
        v.value !== null && size(v.shape) === 1 ? ` = ${number(array(v.value).d[0], 6)}` : ` ${shape(v.shape)}`,
      ),
    ),
    el(
      "p",
      { cls: "sub" },
      "Choose a box: its numbers, its rule, and how its gradient comes about are shown here. Step through forward and backward below, or start the quiz.",
    ),
    el("h3", {}, "Values with a name"),
    el(
      "div",
      { cls: "links" },
      ...g.values
        .filter((v) => v.name)
        .slice(0, 60)
        .map((v) => link(v.k)),
    ),
  ];
};

listen((what) => {
  if (state.quiz || !["graph", "key", "quiz"].includes(what)) return;
  const v = graph().byKey.get(state.key);
  $("side").setAttribute("aria-label", "Detail");
  $("side").replaceChildren(...(v ? detail(v) : overview()));
  $("side").scrollTop = 0;
});
